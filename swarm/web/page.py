"""What a page is: a declared GET handler outside /API, collected from `swarm.web` (and extensions) at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from swarm.state import AppState

PageHandler: TypeAlias = Callable[[AppState, Request], Awaitable[Response]]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A path (Starlette syntax, `/View/{path:path}`), the methods it answers, and its handler.

    `methods` None answers any method; otherwise other methods, HEAD included, get 405 with `Allow` (swarm-core 8.1).
    """

    path: str
    methods: tuple[str, ...] | None
    handler: PageHandler
    doc: str

    @property
    def id(self) -> str:
        return self.path


def page(path: str, *, methods: tuple[str, ...] | None = None) -> Callable[[PageHandler], Page]:
    """Declare `handler` as the page at `path`."""

    def declare(handler: PageHandler) -> Page:
        return Page(path=path, methods=methods, handler=handler, doc=(handler.__doc__ or "").strip())

    return declare

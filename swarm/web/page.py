"""What a page is: a declared GET handler outside /API, collected from `swarm.web` (and extensions) at start."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from swarm.access.permission import Permission
from swarm.state import AppState

PageHandler: TypeAlias = Callable[[AppState, Request], Awaitable[Response]]


class Access(Enum):
    """Who may open a page. OWN_CHECK: its handler says so itself, in its own words."""

    ANYONE = "anyone"
    LOGGED_IN = "logged in"
    OWN_CHECK = "own check"


@dataclass(frozen=True, kw_only=True)
class Page:
    """A path (Starlette syntax, `/View/{path:path}`), the methods it answers, and its handler.

    `methods` None answers any method; otherwise other methods, HEAD included, get 405 with `Allow` (swarm-core 8.1).
    `access`: who is let in; a permission lets in whoever holds it. Where nobody logs in, everyone is somebody.
    """

    path: str
    methods: tuple[str, ...] | None
    handler: PageHandler
    doc: str
    access: Access | Permission = Access.ANYONE

    @property
    def id(self) -> str:
        return self.path


def page(
    path: str, *, methods: tuple[str, ...] | None = None, access: Access | Permission = Access.ANYONE
) -> Callable[[PageHandler], Page]:
    """Declare `handler` as the page at `path`."""

    def declare(handler: PageHandler) -> Page:
        return Page(path=path, methods=methods, handler=handler, doc=(handler.__doc__ or "").strip(), access=access)

    return declare

"""What backends may know of the server around them, and how those that bring others along say so."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol
from uuid import uuid4

from swarm.architectures.architecture import Architecture
from swarm.base.outgoing import Outgoing
from swarm.catalog.model import ModelEntry
from swarm.params.param import Param


def _nobody_borrows(lender: str, models: Sequence[ModelEntry]) -> None:
    """A server without a catalog."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The server around a backend.

    `server_id`: this server's own, to notice requests that come back. `params`: every parameter by id, to spell jobs
    for others. `architectures`: model classes by id. `lend(lender, models)`: the models another machine has, in place
    of those it had before.
    """

    outgoing: Outgoing = field(default_factory=Outgoing)
    server_id: str = field(default_factory=lambda: str(uuid4()))
    version: str = "0"
    params: Mapping[str, Param[Any]] = field(default_factory=lambda: MappingProxyType({}))
    architectures: Mapping[str, Architecture] = field(default_factory=lambda: MappingProxyType({}))
    lend: Callable[[str, Sequence[ModelEntry]], None] = _nobody_borrows


class Relations(Protocol):
    """A backend's place in the list, and what it may do there. Everything on the event loop."""

    def adopt(self, type: Any, settings: Any, title: str) -> int:
        """Add a backend that lives as long as this one; `type` is a BackendType. Its id, which is negative."""

    def dismiss(self, child: int) -> None:
        """Take such a backend out at once; jobs inside end by themselves."""

    def is_used(self, child: int) -> tuple[bool, float]:
        """Whether it or its own children hold jobs, and when any last did (unix seconds, 0 for never)."""

    def child_status(self, child: int) -> str:
        """The wire's word for how it stands; empty when it is gone."""

    def changed(self) -> None:
        """Features, models or places are different now."""

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run `work` beside the backend."""

    def demand(self) -> tuple[int, bool]:
        """Jobs waiting or being made, and whether some wait that no backend can take."""

    def now(self) -> float:
        """Unix seconds."""


class Nobody:
    """The relations of a backend that is in no list."""

    def adopt(self, type: Any, settings: Any, title: str) -> int:
        return 0

    def dismiss(self, child: int) -> None:
        return None

    def is_used(self, child: int) -> tuple[bool, float]:
        return False, 0.0

    def child_status(self, child: int) -> str:
        return ""

    def changed(self) -> None:
        return None

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        return None

    def demand(self) -> tuple[int, bool]:
        return 0, False

    def now(self) -> float:
        return 0.0

"""The place of one backend in the list, as it sees it itself: the backends that it adds, and who waits for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Protocol

from swarm.backends.backend import BackendType
from swarm.backends.guard import attempt
from swarm.backends.instance import BackendInstance


class Household(Protocol):
    """What the pool lets a backend do to the list."""

    clock: Callable[[], float]
    starving: bool
    waiting: Callable[[], int]

    def instances(self) -> Sequence[BackendInstance]: ...

    def add_child(self, parent_id: int, type: BackendType, settings: Any, title: str) -> BackendInstance: ...

    def drop_child(self, instance: BackendInstance) -> None: ...

    def status_changed(self) -> None: ...

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None: ...


class Kin:
    """Implements `world.Relations` for the backend `backend_id`."""

    def __init__(self, pool: Household, backend_id: int) -> None:
        self._pool = pool
        self._id = backend_id

    def adopt(self, type: BackendType, settings: Any, title: str) -> int:
        return self._pool.add_child(self._id, type, settings, title).id

    def dismiss(self, child: int) -> None:
        for one in list(self._family(child)):
            self._pool.drop_child(one)

    def is_used(self, child: int) -> tuple[bool, float]:
        family = list(self._family(child))
        is_used = any(one.usages > 0 or one.loading_model is not None for one in family)
        return is_used, max((one.last_used for one in family), default=0.0)

    def child_status(self, child: int) -> str:
        return next((one.status.value for one in self._pool.instances() if one.id == child), "")

    def changed(self) -> None:
        self._pool.status_changed()

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        self._pool.spawn(self._guarded, work, args)

    async def _guarded(self, work: Callable[..., Coroutine[Any, Any, None]], args: tuple[Any, ...]) -> None:
        """One backend's failure ends no other's work."""
        await attempt(work(*args), f"Backend {self._id}")

    def demand(self) -> tuple[int, bool]:
        busy = sum(one.usages for one in self._pool.instances())
        return self._pool.waiting() + busy, self._pool.starving

    def now(self) -> float:
        return self._pool.clock()

    def _family(self, child: int) -> Iterator[BackendInstance]:
        """The child's own children first, then the child."""
        for one in self._pool.instances():
            if one.id == child or any(parent.id == child for parent in one.ancestors()):
                yield one


def disowned(instances: Sequence[BackendInstance], parent: BackendInstance) -> list[BackendInstance]:
    """The backends that came with `parent`, which is going."""
    return [one for one in instances if parent in one.ancestors()]


__all__ = ["Household", "Kin", "disowned"]

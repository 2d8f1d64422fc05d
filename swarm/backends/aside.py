"""A call that runs beside a generator which meanwhile yields progress. No cancel scope crosses a yield."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Generic, TypeVar

import anyio

from swarm.backends.world import Relations
from swarm.base.errors import BackendError, Crashed

T = TypeVar("T")


class Aside(Generic[T]):
    """Starts at once in the backend's own group. `call` may raise BackendError, which `result` raises again."""

    def __init__(self, relations: Relations, call: Awaitable[T]) -> None:
        self._call = call
        self._scope = anyio.CancelScope()
        self._done = anyio.Event()
        self._outcome: list[T] = []
        self._error: BackendError | None = None
        relations.spawn(self._run)

    async def _run(self) -> None:
        try:
            with self._scope:
                self._outcome.append(await self._call)
        except BackendError as error:
            self._error = error
        finally:
            self._done.set()

    async def is_done_within(self, seconds: float) -> bool:
        with anyio.move_on_after(seconds):
            await self._done.wait()
        return self._done.is_set()

    def cancel(self) -> None:
        self._scope.cancel()

    def result(self) -> T:
        """Once it is done."""
        if self._error is not None:
            raise self._error
        if not self._outcome:
            raise Crashed("The call was given up.")
        return self._outcome[0]

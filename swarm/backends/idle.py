"""Memory given back when nobody asked for a picture for a while: once per quiet time (swarm-models-backends 3.4)."""

from __future__ import annotations

from collections.abc import Callable

import anyio

from swarm.backends.pool import BackendPool

LOOK_SECONDS = 5.0


class IdleMemory:
    """`minutes()`: (until device memory is freed, until main memory is freed too), below 0 for never."""

    def __init__(self, pool: BackendPool, minutes: Callable[[], tuple[float, float]]) -> None:
        self._pool = pool
        self._minutes = minutes
        self._quiet_since = pool.clock()
        self._has_freed = (False, False)

    async def watch(self) -> None:
        """Look now and then, for as long as the server runs."""
        while True:
            await anyio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Free what is due now."""
        instances = self._pool.instances()
        last = max((one.last_used for one in instances), default=0.0)
        is_busy = any(one.usages > 0 or one.loading_model is not None for one in instances)
        if is_busy or last > self._quiet_since:
            self._quiet_since = self._pool.clock() if is_busy else last
            self._has_freed = (False, False)
        quiet = (self._pool.clock() - self._quiet_since) / 60
        device, main = self._minutes()
        due = (0 <= device <= quiet, 0 <= main <= quiet)
        if due[1] and not self._has_freed[1]:
            self._has_freed = (True, True)
            await self._pool.free_memory(system_ram=True)
        elif due[0] and not self._has_freed[0]:
            self._has_freed = (True, False)
            await self._pool.free_memory(system_ram=False)


__all__ = ["IdleMemory"]

"""Changes to promised rows that must happen, if not now then later: a full disk delays them and harms nothing else."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter

from swarm.base.database import BUSY
from swarm.base.errors import Refused
from swarm.base.tasks import to_thread_limited

P = ParamSpec("P")
R = TypeVar("R")
RETRY_SECONDS = 2.0
WRITERS = 6
"""Changes that may wait for the disk at once; they share its commits. While another process holds the database they all
wait, and what only reads must find threads that do not."""


logger = logging.getLogger(__name__)


class Ledger:
    """Writes that the disk refuses (full, locked) are owed, in order, until it takes them."""

    def __init__(self) -> None:
        self._owed: deque[Callable[[], object]] = deque()
        self._writers = CapacityLimiter(WRITERS)

    async def once(self, change: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `change` (a method of the job store) returns. Raises Refused when the disk does not take it now."""
        return await to_thread_limited(self._writers, partial(change, *args, **kwargs))

    async def write(self, change: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Make `change` (a method of the job store) now, or as soon as the disk takes it. Never raises Refused."""
        work = partial(change, *args, **kwargs)
        if self._owed or not await self._done(work):
            self._owed.append(work)

    async def insist(self, change: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `change` returns; asked again while another process holds the database. Raises any other refusal."""
        while True:
            try:
                return await self.once(change, *args, **kwargs)
            except Refused as refusal:
                if refusal.error_id != BUSY:
                    raise
                logger.warning("A job waits for the database: %s", refusal.sentence)

    async def keep_settling(self) -> None:
        """Try again and again, for ever."""
        while True:
            await anyio.sleep(RETRY_SECONDS)
            await self.settle()

    async def settle(self) -> None:
        """Make the owed changes, as far as the disk takes them now."""
        while self._owed and await self._done(self._owed[0]):
            self._owed.popleft()

    async def _done(self, work: Callable[[], object]) -> bool:
        try:
            await self.once(work)
        except Refused as refusal:
            logger.warning("A job's row could not be changed yet, %d wait: %s", len(self._owed), refusal.sentence)
            return False
        return True

"""How many pictures of one user are with backends at once, over all their requests: as many as their roles allow."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from swarm.accounts.user import User


class Slots:
    """Places at backends, by user. Only on the event loop."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._waiting: list[anyio.Event] = []

    @asynccontextmanager
    async def one(self, user: User) -> AsyncIterator[None]:
        """Wait for a place and keep it for the block. A limit that is lowered meanwhile takes none away."""
        while self._held[user.id] >= user.max_simultaneous:
            freed = anyio.Event()
            self._waiting.append(freed)
            await freed.wait()
        self._held[user.id] += 1
        try:
            yield
        finally:
            self._held[user.id] -= 1
            if not self._held[user.id]:
                del self._held[user.id]
            waiting, self._waiting = self._waiting, []
            for freed in waiting:
                freed.set()

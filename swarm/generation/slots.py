"""How many pictures of one user are with backends at once, over all their requests: as many as their roles allow."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from swarm.accounts.user import User


class Slots:
    """Places at backends, by user; who came first is first. Only on the event loop."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[anyio.Event]] = {}

    @asynccontextmanager
    async def one(self, user: User) -> AsyncIterator[None]:
        """Wait for a place and keep it for the block. A limit that is lowered meanwhile takes none away."""
        await self._take(user)
        try:
            yield
        finally:
            self._held[user.id] -= 1
            self._hand_out(user)

    async def _take(self, user: User) -> None:
        given = anyio.Event()
        line = self._waiting.setdefault(user.id, deque())
        line.append(given)
        self._hand_out(user)
        try:
            await given.wait()
        except BaseException:
            if given.is_set():  # given in the same moment as this one was cancelled
                self._held[user.id] -= 1
            else:
                line.remove(given)
            self._hand_out(user)
            raise

    def _hand_out(self, user: User) -> None:
        """Give the free places to those who wait longest; the others are not even woken."""
        line = self._waiting.get(user.id, deque())
        while line and self._held[user.id] < user.max_simultaneous:
            self._held[user.id] += 1
            line.popleft().set()
        if not line:
            self._waiting.pop(user.id, None)
        if not self._held[user.id]:
            del self._held[user.id]

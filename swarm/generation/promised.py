"""Pictures that an earlier run of the server promised, taken up a few at a time.

A restart may find a hundred thousand of them. Only so many are in memory as can soon be made; the others stay rows
until their turn comes. Users take turns, each oldest first; what they wait for counts in their status all the while.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from types import MappingProxyType

import anyio
from anyio.abc import TaskGroup

from swarm.accounts.user import User
from swarm.base.tasks import to_thread
from swarm.generation.claims import Claim, Claims
from swarm.generation.ledger import Ledger
from swarm.outputs.places import Places
from swarm.queue.jobs import Backlog, JobRow, JobStore

AT_ONCE = 500
"""How many are taken up at the same time: more than any backends work on, so that the dispatcher has a choice."""
PAGE = 100
CANCEL_PAGE = 1000

NOTHING_KEPT: Mapping[int, str] = MappingProxyType({})
Resume = Callable[[JobRow, User, Claim, Mapping[int, str]], Awaitable[None]]
"""Makes one promised picture; the last argument are the URLs of those of its pictures that are there already."""


class Promised:
    """`look` before serving, `take_up` while serving. `users`: a user by id, made when unknown."""

    def __init__(
        self,
        queue: JobStore,
        places: Places | None,
        ledger: Ledger,
        claims: Claims,
        resume: Resume,
        users: Callable[[str], User],
    ) -> None:
        self._queue = queue
        self._places = places
        self._ledger = ledger
        self._claims = claims
        self._resume = resume
        self._users = users
        self._backlogs: list[Backlog] = []
        self._open: dict[tuple[str, str], Claim] = {}
        self._held = ExitStack()
        self._kept: dict[str, dict[int, str]] = {}
        self._room = anyio.Semaphore(AT_ONCE)

    async def look(self) -> None:
        """Learn what was promised, before anything new is: from here on it counts as waiting and can be interrupted."""
        self._backlogs = await to_thread(self._queue.reclaim)
        self._kept = await to_thread(self._already_on_disk)
        for backlog in self._backlogs:
            for session_id, count in backlog.sessions.items():
                claim = self._held.enter_context(self._claims.open(session_id, backlog.user_id, waiting_gens=count))
                self._open[backlog.user_id, session_id] = claim

    def _already_on_disk(self) -> dict[str, dict[int, str]]:
        """Job id -> number -> URL of pictures whose file came to be while its row did not hear of it."""
        return {} if self._places is None else self._places.kept(self._queue.unended(self._places.noted()))

    async def take_up(self) -> None:
        """Make all of them, or cancel those whose session is interrupted. Ends when none is left."""
        with self._held:
            async with anyio.create_task_group() as group:
                for backlog in self._backlogs:
                    group.start_soon(self._of_user, backlog)

    async def _of_user(self, backlog: Backlog) -> None:
        user = self._users(backlog.user_id)
        async with anyio.create_task_group() as watching:
            for session_id in backlog.sessions:
                watching.start_soon(self._drop_when_interrupted, backlog, session_id)
            async with anyio.create_task_group() as making:
                await self._make_all(backlog, user, making)
            watching.cancel_scope.cancel()

    async def _make_all(self, backlog: Backlog, user: User, making: TaskGroup) -> None:
        after = 0
        while rows := await to_thread(self._queue.promised, backlog, after=after, limit=PAGE):
            after = rows[-1].seq
            for row in rows:
                await self._room.acquire()
                making.start_soon(self._one, row, user, self._open[user.id, row.session_id])

    async def _one(self, row: JobRow, user: User, claim: Claim) -> None:
        try:
            if claim.interrupted:
                await self._ledger.write(self._queue.cancel, [row.id])
            else:
                await self._resume(row, user, claim, self._kept.pop(row.id, NOTHING_KEPT))
        finally:
            self._room.release()

    async def _drop_when_interrupted(self, backlog: Backlog, session_id: str) -> None:
        """Cancel what the session still waits for as soon as it is interrupted, without waiting for its turn."""
        claim = self._open[backlog.user_id, session_id]
        with claim.cancellable():
            await anyio.sleep_forever()
        claim.waiting_gens = 0
        after = 0
        while rows := await to_thread(
            self._queue.promised, backlog, after=after, limit=CANCEL_PAGE, session_id=session_id
        ):
            after = rows[-1].seq
            await self._ledger.write(self._queue.cancel, [row.id for row in rows])

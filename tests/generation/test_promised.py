"""Many promised pictures after a restart: few in memory, users take turns, and an interrupt drops the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest

from swarm.accounts.user import User
from swarm.base.database import Database
from swarm.generation.claims import Claim, Claims
from swarm.generation.ledger import Ledger
from swarm.generation.promised import AT_ONCE, Promised
from swarm.outputs.places import Places
from swarm.queue.jobs import JobRow, JobState, JobStore, NewJob
from tests.support.tiny_state import tiny_state

pytestmark = pytest.mark.anyio


class House:
    """A queue, and somebody who makes its pictures only when told to."""

    def __init__(self, folder: Path) -> None:
        self.queue = JobStore(Database(folder / "jobs.db", durable=False), lambda: 1000.0)
        self.places = Places(Database(folder / "index.db", durable=False), lambda: 1000.0)
        self.claims = Claims()
        self.users = tiny_state().users
        self.working: dict[str, anyio.Event] = {}
        self.order: list[str] = []
        self.kept: dict[str, Mapping[int, str]] = {}
        self.at_once = 0

    def promise(self, user: str, count: int, session: str = "s") -> None:
        start = sum(self.queue.ledger().values())
        self.queue.accept(
            [
                NewJob(
                    id=f"{user}-{session}-{number}",
                    session_id=session,
                    user_id=user,
                    request_id="1",
                    index=0,
                    body=b"{}",
                )
                for number in range(start, start + count)
            ]
        )

    async def resume(self, row: JobRow, user: User, claim: Claim, kept: Mapping[int, str]) -> None:
        self.order.append(user.id)
        self.kept[row.id] = kept
        self.working[row.id] = anyio.Event()
        self.at_once = max(self.at_once, len(self.working))
        with claim.cancellable() as scope:
            await self.working[row.id].wait()
        del self.working[row.id]
        claim.one_less()
        if scope.cancel_called:
            self.queue.cancel([row.id])
        else:
            self.queue.finish(row.id, "made.png")

    @asynccontextmanager
    async def restarted(self) -> AsyncIterator[None]:
        promised = Promised(
            self.queue,
            self.places,
            Ledger(),
            self.claims,
            self.resume,
            lambda name: cast(User, self.users.get_or_create(name)),
        )
        await promised.look()
        async with anyio.create_task_group() as group:
            group.start_soon(promised.take_up)
            yield
            group.cancel_scope.cancel()

    def counts(self) -> dict[str, int]:
        return {state.value: count for state, count in self.queue.ledger().items() if count}


async def until(house: House, **states: int) -> None:
    with anyio.fail_after(20):
        while house.counts() != states:
            for event in list(house.working.values()):
                event.set()
            await anyio.sleep(0.002)


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def test_only_so_many_are_taken_up_at_once(house: House) -> None:
    house.promise("ann", 3 * AT_ONCE)
    async with house.restarted():
        assert house.claims.counters("s")["waiting_gens"] == 3 * AT_ONCE
        with anyio.fail_after(20):
            while len(house.working) < AT_ONCE:
                await anyio.sleep(0.002)
        await anyio.sleep(0.05)
        assert len(house.working) == AT_ONCE
        assert house.counts() == {"pending": 3 * AT_ONCE}
        await until(house, stored=3 * AT_ONCE)
    assert house.at_once <= AT_ONCE


async def test_users_take_turns_however_much_the_first_has(house: House) -> None:
    house.promise("ann", 2 * AT_ONCE)
    house.promise("bob", 2)
    async with house.restarted():
        with anyio.fail_after(20):
            while len(house.working) < AT_ONCE:
                await anyio.sleep(0.002)
    assert Counter(house.order)["bob"] == 2


async def test_an_interrupt_drops_what_waits_and_later_promises_stay(house: House) -> None:
    house.promise("ann", AT_ONCE + 300, session="stopped")
    house.promise("ann", 20, session="other")
    async with house.restarted():
        with anyio.fail_after(20):
            while len(house.working) < AT_ONCE:
                await anyio.sleep(0.002)
        house.promise("ann", 1, session="stopped")  # after the restart: not part of what was promised before
        assert house.claims.interrupt(lambda claim: claim.session_id == "stopped") == 1
        with anyio.fail_after(20):
            while house.counts().get("cancelled") != AT_ONCE + 300:
                await anyio.sleep(0.002)
        assert house.claims.counters("stopped")["waiting_gens"] == 0
        await until(house, cancelled=AT_ONCE + 300, stored=20, pending=1)
    left = [row for row in house.queue.of_session("stopped", limit=2000) if row.state is JobState.PENDING]
    assert len(left) == 1


async def test_pictures_that_are_on_disk_are_told_to_whoever_resumes(house: House, tmp_path: Path) -> None:
    house.promise("ann", 2)
    there = tmp_path / "there.png"
    there.write_bytes(b"x")
    house.places.note("ann-s-0", 0, "Output/there.png", there)
    house.places.note("ann-s-1", 0, "Output/gone.png", tmp_path / "gone.png")
    house.places.note("ended long ago", 0, "Output/there.png", there)
    async with house.restarted():
        await until(house, stored=2)
    assert house.kept == {"ann-s-0": {0: "Output/there.png"}, "ann-s-1": {}}
    assert house.places.noted() == {"ann-s-0"}


async def test_nothing_promised_is_nothing_to_do(house: House) -> None:
    promised = Promised(house.queue, None, Ledger(), house.claims, house.resume, house.users.get_or_create)
    await promised.look()
    with anyio.fail_after(5):
        await promised.take_up()
    assert house.order == []

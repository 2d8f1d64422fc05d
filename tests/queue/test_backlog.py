"""What is left over from before a restart: counted at once, read in pages, told from what is promised later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.base.database import Database
from swarm.queue.jobs import JobRow, JobStore, NewJob


@pytest.fixture
def store(tmp_path: Path) -> Iterator[JobStore]:
    database = Database(tmp_path / "jobs.db", durable=False)
    yield JobStore(database, lambda: 1000.0)
    database.close()


def promise(store: JobStore, user: str, numbers: range, session: str = "s") -> None:
    store.accept(
        [
            NewJob(
                id=f"{user}{n}", session_id=session, user_id=user, request_id="1", index=n, body=f"of {user}".encode()
            )
            for n in numbers
        ]
    )


def pages(store: JobStore, user: str, *, limit: int, session: str | None = None) -> list[list[JobRow]]:
    backlog = next(one for one in store.reclaim() if one.user_id == user)
    found: list[list[JobRow]] = []
    after = 0
    while page := store.promised(backlog, after=after, limit=limit, session_id=session):
        found.append(page)
        after = page[-1].seq
    return found


def test_what_is_left_is_counted_by_user_and_session(store: JobStore) -> None:
    promise(store, "ann", range(3000), session="one")
    promise(store, "bob", range(2))
    promise(store, "ann", range(3000, 3010), session="two")
    store.finish("bob0", "b.png")
    store.start("ann0", 60)
    found = {backlog.user_id: dict(backlog.sessions) for backlog in store.reclaim()}
    assert found == {"ann": {"one": 3000, "two": 10}, "bob": {"s": 1}}


def test_pages_hold_everything_once_in_order_with_bodies(store: JobStore) -> None:
    promise(store, "ann", range(25))
    promise(store, "bob", range(25))
    found = pages(store, "bob", limit=10)
    assert [len(page) for page in found] == [10, 10, 5]
    assert [row.id for page in found for row in page] == [f"bob{n}" for n in range(25)]
    assert {row.body for page in found for row in page} == {b"of bob"}


def test_pages_of_one_session(store: JobStore) -> None:
    promise(store, "ann", range(5), session="one")
    promise(store, "ann", range(5, 8), session="two")
    assert [[row.id for row in page] for page in pages(store, "ann", limit=2, session="two")] == [
        ["ann5", "ann6"],
        ["ann7"],
    ]


def test_what_is_promised_later_is_not_part_of_it(store: JobStore) -> None:
    promise(store, "ann", range(2))
    [backlog] = store.reclaim()
    promise(store, "ann", range(2, 4))
    assert [row.id for row in store.promised(backlog, after=0, limit=10)] == ["ann0", "ann1"]
    store.cancel(["ann0"])
    assert [row.id for row in store.promised(backlog, after=0, limit=10)] == ["ann1"]


def test_which_jobs_have_not_ended(store: JobStore) -> None:
    promise(store, "ann", range(4))
    store.start("ann1", 60)
    store.finish("ann2", "a.png")
    store.cancel(["ann3"])
    assert store.unended({"ann0", "ann1", "ann2", "ann3", "nobody"}) == {"ann0", "ann1"}
    assert store.unended(()) == set()


def test_one_wish_does_not_wait_for_a_thousand_of_somebody_else(store: JobStore) -> None:
    promise(store, "ann", range(1000))
    [first] = store.claim(1, 60)
    promise(store, "bob", range(1))
    following = store.claim(1, 60, burdens={"ann": 1.0}) + store.claim(1, 60, burdens={"ann": 1.0})
    assert (first.user_id, [row.user_id for row in following]) == ("ann", ["bob", "ann"])

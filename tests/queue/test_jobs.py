"""Promises: nothing accepted is lost, nothing is in two states, nothing runs for ever."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest

from swarm.base.database import Database
from swarm.base.errors import NotFound, Refused
from swarm.queue.jobs import MAX_ATTEMPTS, POISONOUS, JobState, JobStore, NewJob


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(tmp_path / "jobs.db", durable=True)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, clock: Clock) -> JobStore:
    return JobStore(database, clock)


def new(name: str, *, user: str = "ann", session: str = "s", index: int = 0, body: bytes = b"{}") -> NewJob:
    return NewJob(id=name, session_id=session, user_id=user, request_id="1001", index=index, body=body)


def reclaimed(store: JobStore) -> list[str]:
    """The jobs that are to be made after a restart."""
    return [row.id for backlog in store.reclaim() for row in store.promised(backlog, after=0, limit=100)]


def counts(store: JobStore) -> dict[str, int]:
    """The states that hold any job."""
    return {state.value: count for state, count in store.ledger().items() if count}


def test_a_job_goes_from_promise_to_picture(store: JobStore) -> None:
    store.accept([new("a", index=4)])
    assert counts(store) == {"pending": 1}
    assert store.start("a", 60) == 1
    assert counts(store) == {"running": 1}
    store.finish("a", "View/local/raw/a.png", seconds=2.5)
    row = store.find("a")
    assert row is not None
    assert (row.state, row.outcome, row.index, row.attempt) == (JobState.STORED, "View/local/raw/a.png", 4, 1)
    assert store.device_seconds(0) == {"ann": 2.5}


def test_a_request_is_accepted_wholly_or_not_at_all(store: JobStore) -> None:
    store.accept([new("a")])
    with pytest.raises(sqlite3.IntegrityError):
        store.accept([new("b"), new("a")])
    assert store.find("b") is None
    assert counts(store) == {"pending": 1}


def test_an_end_is_final(store: JobStore) -> None:
    store.accept([new("a"), new("b"), new("c")])
    store.finish("a", "a.png")
    store.fail("b", "It rained.")
    assert store.cancel(["a", "b", "c"]) == 1
    store.fail("a", "Too late.")
    assert counts(store) == {"stored": 1, "failed": 1, "cancelled": 1}
    with pytest.raises(Refused, match="already ended"):
        store.start("c", 60)
    with pytest.raises(NotFound):
        store.start("nobody", 60)


def test_after_a_kill_everything_promised_comes_back_in_order(tmp_path: Path, clock: Clock) -> None:
    first = JobStore(Database(tmp_path / "k.db", durable=True), clock)
    first.accept([new(name, index=index, body=b"same") for index, name in enumerate("abcd")])
    first.start("b", 60)
    first.finish("c", "c.png")
    again = JobStore(Database(tmp_path / "k.db", durable=True), clock)  # the first was never closed
    rows = again.promised(again.reclaim()[0], after=0, limit=10)
    assert [(row.id, row.attempt, row.state, row.body) for row in rows] == [
        ("a", 0, JobState.PENDING, b"same"),
        ("b", 1, JobState.PENDING, b"same"),
        ("d", 0, JobState.PENDING, b"same"),
    ]
    assert counts(again) == {"pending": 3, "stored": 1}
    assert again.start("b", 60) == 2


def test_a_job_that_takes_its_backend_down_three_times_is_given_up(store: JobStore) -> None:
    store.accept([new("a")])
    for number in range(MAX_ATTEMPTS):
        assert store.start("a", 60) == number + 1
    with pytest.raises(Refused, match="poisonous"):
        store.start("a", 60)
    row = store.find("a")
    assert row is not None
    assert (row.state, row.outcome) == (JobState.FAILED, POISONOUS)


def test_a_job_that_takes_the_server_down_three_times_is_given_up(store: JobStore) -> None:
    store.accept([new("bad"), new("good")])
    for _ in range(MAX_ATTEMPTS - 1):
        store.start("bad", 60)
        assert reclaimed(store) == ["bad", "good"]
    store.start("bad", 60)
    assert reclaimed(store) == ["good"]
    assert counts(store) == {"failed": 1, "pending": 1}


def test_giving_a_job_back_is_no_attempt(store: JobStore) -> None:
    store.accept([new("a")])
    for _ in range(10):
        assert store.start("a", 60) == 1
        store.give_back(["a"])
    store.give_back(["a"])  # it does not run: nothing happens
    assert store.start("a", 60) == 1


def test_a_lease_that_runs_out_is_taken_back_unless_it_was_renewed(store: JobStore, clock: Clock) -> None:
    store.accept([new("a"), new("b")])
    store.start("a", 60)
    store.start("b", 60)
    clock.now += 50
    store.renew(["b"], 60)
    clock.now += 30
    assert [row.id for row in store.expire()] == ["a"]
    assert counts(store) == {"pending": 1, "running": 1}


def test_claiming_takes_turns_between_users(store: JobStore) -> None:
    store.accept([new(f"ann{n}", user="ann") for n in range(4)])
    store.accept([new("bob0", user="bob")])
    assert [row.id for row in store.claim(3, 60)] == ["ann0", "bob0", "ann1"]
    assert [row.id for row in store.claim(9, 60)] == ["ann2", "ann3"]
    assert store.claim(1, 60) == []


def test_claiming_prefers_those_who_had_least(store: JobStore) -> None:
    store.accept([new("ann0", user="ann"), new("bob0", user="bob")])
    assert [row.id for row in store.claim(1, 60, burdens={"ann": 9.0, "bob": 1.0})] == ["bob0"]


def test_equal_bodies_of_a_request_are_stored_once_and_dropped_with_the_last_job(
    store: JobStore, database: Database
) -> None:
    store.accept([new(str(number), body=b"x" * 10_000) for number in range(50)])
    assert database.read("SELECT COUNT(*) FROM job_bodies") == [(1,)]
    store.cancel([str(number) for number in range(49)])
    assert store.claim(1, 60)[0].body == b"x" * 10_000
    store.finish("49", "x.png")
    assert database.read("SELECT COUNT(*) FROM job_bodies") == [(0,)]


def test_a_sessions_jobs_are_listed_in_pages(store: JobStore) -> None:
    store.accept([new(str(number), session="mine") for number in range(5)] + [new("x", session="other")])
    page = store.of_session("mine", limit=3)
    assert [row.id for row in page] == ["0", "1", "2"]
    assert [row.id for row in store.of_session("mine", after=page[-1].seq)] == ["3", "4"]


def test_old_rows_are_forgotten_only_when_they_have_ended(store: JobStore, clock: Clock) -> None:
    store.accept([new("a"), new("b")])
    store.finish("a", "a.png")
    clock.now += 100
    assert store.forget(clock.now) == 1
    assert counts(store) == {"pending": 1}


def test_many_threads_may_promise_at_once(store: JobStore) -> None:
    def promise(user: int) -> None:
        for number in range(50):
            store.accept([new(f"{user}-{number}", user=str(user))])

    threads = [Thread(target=promise, args=(user,)) for user in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts(store) == {"pending": 400}


def test_one_bad_promise_does_not_undo_others_of_its_transaction(store: JobStore) -> None:
    store.accept([new("taken")])
    outcomes: list[str] = []

    def promise(name: str) -> None:
        try:
            store.accept([new(name)])
            outcomes.append("kept")
        except sqlite3.IntegrityError:
            outcomes.append("refused")

    names = ["taken" if number % 3 == 0 else f"job{number}" for number in range(60)]
    threads = [Thread(target=promise, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("kept") == 40
    assert outcomes.count("refused") == 20
    assert counts(store) == {"pending": 41}


def test_a_full_disk_is_a_sentence_and_leaves_nothing_half(tmp_path: Path, clock: Clock) -> None:
    database = Database(tmp_path / "small.db", durable=True)
    store = JobStore(database, clock)
    with database.write() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 4}")
    with pytest.raises(Refused) as caught:
        store.accept([new("big", body=b"x" * 1_000_000)])
    assert caught.value.error_id == "disk_full"
    assert counts(store) == {}
    store.accept([new("small")])  # and the store goes on working
    assert counts(store) == {"pending": 1}
    database.close()

"""The ledger under any history: every accepted job is in exactly one state, also when the server is killed."""

from __future__ import annotations

from collections import Counter
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from swarm.base.database import Database
from swarm.base.errors import Refused
from swarm.queue.jobs import MAX_ATTEMPTS, JobState, JobStore, NewJob

ENDED = (JobState.STORED, JobState.FAILED, JobState.CANCELLED)


class Ledger(RuleBasedStateMachine):
    """A model of what each job's state and attempt must be, against the store on disk."""

    jobs = Bundle("jobs")

    @initialize()
    def begin(self) -> None:
        self.folder = TemporaryDirectory()
        self.now = 0.0
        self.names = count()
        self.state: dict[str, JobState] = {}
        self.attempts: Counter[str] = Counter()
        self.until: dict[str, float] = {}
        self.open()

    def open(self) -> None:
        self.database = Database(Path(self.folder.name) / "jobs.db", durable=False)
        self.store = JobStore(self.database, lambda: self.now)

    @rule(target=jobs, amount=st.integers(1, 4), user=st.sampled_from(["ann", "bob"]))
    def accept(self, amount: int, user: str) -> object:
        names = [f"job{next(self.names)}" for _ in range(amount)]
        self.store.accept(
            [
                NewJob(id=name, session_id="s", user_id=user, request_id="1", index=index, body=b"b")
                for index, name in enumerate(names)
            ]
        )
        self.state |= dict.fromkeys(names, JobState.PENDING)
        return multiple(*names)

    @rule(limit=st.integers(1, 3), lease=st.floats(1, 10))
    def claim(self, limit: int, lease: float) -> None:
        pending = sum(state is JobState.PENDING for state in self.state.values())
        rows = self.store.claim(limit, lease)
        assert len(rows) == min(limit, pending)
        for row in rows:
            assert self.state[row.id] is JobState.PENDING
            assert row.body == b"b"
            self.run(row.id, lease)

    @rule(name=jobs, lease=st.floats(1, 10))
    def start(self, name: str, lease: float) -> None:
        try:
            attempt = self.store.start(name, lease)
        except Refused:
            if self.state[name] not in ENDED:
                assert self.attempts[name] >= MAX_ATTEMPTS
                self.state[name] = JobState.FAILED
            return
        self.run(name, lease)
        assert attempt == self.attempts[name]

    def run(self, name: str, lease: float) -> None:
        self.state[name] = JobState.RUNNING
        self.attempts[name] += 1
        self.until[name] = self.now + lease

    @rule(name=jobs)
    def give_back(self, name: str) -> None:
        self.store.give_back([name])
        if self.state[name] is JobState.RUNNING:
            self.state[name] = JobState.PENDING
            self.attempts[name] -= 1

    @rule(name=jobs, how=st.sampled_from(ENDED))
    def end(self, name: str, how: JobState) -> None:
        match how:
            case JobState.STORED:
                self.store.finish(name, "a.png")
            case JobState.FAILED:
                self.store.fail(name, "No.")
            case _:
                self.store.cancel([name])
        if self.state[name] not in ENDED:
            self.state[name] = how

    @rule(seconds=st.floats(0.5, 8))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        late = {name for name, state in self.state.items() if state is JobState.RUNNING and self.until[name] < self.now}
        self.back({row.id for row in self.store.expire()}, late)

    @rule()
    def kill_and_start_again(self) -> None:
        self.open()  # the old connections are simply abandoned
        running = {name for name, state in self.state.items() if state is JobState.RUNNING}
        found: list[str] = []
        for backlog in self.store.reclaim():
            of_user = [row.id for row in self.store.promised(backlog, after=0, limit=10_000)]
            assert of_user == sorted(of_user, key=lambda name: int(name.removeprefix("job")))
            assert len(of_user) == sum(backlog.sessions.values())
            found += of_user
        waiting = {name for name, state in self.state.items() if state is JobState.PENDING}
        assert waiting <= set(found)
        self.back(set(found) - waiting, running)

    def back(self, found: set[str], expected: set[str]) -> None:
        """`expected` jobs ran until now: those worn out have failed, the others are back."""
        worn = {name for name in expected if self.attempts[name] >= MAX_ATTEMPTS}
        assert found == expected - worn
        self.state |= dict.fromkeys(worn, JobState.FAILED) | dict.fromkeys(found, JobState.PENDING)

    @invariant()
    def every_job_is_in_exactly_one_state(self) -> None:
        if not hasattr(self, "store"):
            return
        found = {row.id: row.state for row in self.store.of_session("s", limit=10_000)}
        assert found == self.state
        assert {state: n for state, n in self.store.ledger().items() if n} == dict(Counter(self.state.values()))

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.database.close()
            self.folder.cleanup()


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

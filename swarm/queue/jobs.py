"""Promised jobs: accepted, claimed with a lease, renewed, ended. A row is on disk before anybody hears "accepted".

States: pending -> running -> stored | failed | cancelled; pending -> cancelled | failed; running -> pending when work
is given back. Blocking and thread-safe: call it through `base.tasks.to_thread`. Concurrent writers share transactions.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from swarm.base.database import Database
from swarm.base.errors import NotFound, Refused
from swarm.queue.backlog import Backlog, backlogs, page_of
from swarm.queue.commits import GroupCommit
from swarm.queue.fairness import by_turn
from swarm.queue.rows import COLUMNS, MIGRATIONS, JobRow, JobState, NewJob, as_row, with_bodies

MAX_ATTEMPTS = 3
POISONOUS = "This job was given up as poisonous: it has taken its backend down three times."

_WAITING_USERS = """
    WITH RECURSIVE waiting(user_id) AS (
        SELECT MIN(user_id) FROM jobs WHERE state = 'pending'
        UNION ALL
        SELECT (SELECT MIN(user_id) FROM jobs WHERE state = 'pending' AND user_id > waiting.user_id)
        FROM waiting WHERE waiting.user_id IS NOT NULL
    )
    SELECT user_id FROM waiting WHERE user_id IS NOT NULL
"""


class JobStore:
    """The rows of one database. `clock` gives unix seconds; use a database made with `durable=True`."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        database.prepare("jobs", MIGRATIONS)
        self._database = database
        self._commits = GroupCommit(database)
        self._clock = clock

    def accept(self, rows: Sequence[NewJob]) -> None:
        """Promise these jobs: all of them, on disk, or none. Raises Refused when the disk is full."""
        now = self._clock()

        def write(connection: sqlite3.Connection) -> None:
            counts: dict[bytes, int] = {}
            for row in rows:
                counts[row.body] = counts.get(row.body, 0) + 1
            ids = {body: _add_body(connection, body, count) for body, count in counts.items()}
            connection.executemany(
                "INSERT INTO jobs (id, session_id, user_id, request_id, idx, body_id, state, accepted_at)"
                " VALUES (?, ?, ?, ?, ?, ?, 'pending', ?)",
                [(r.id, r.session_id, r.user_id, r.request_id, r.index, ids[r.body], now) for r in rows],
            )

        self._commits.run(write)

    def claim(
        self, limit: int, lease_seconds: float, *, burdens: Mapping[str, float] | None = None, typical: float = 1.0
    ) -> list[JobRow]:
        """Take up to `limit` pending jobs, fairest first, and mark them running until the lease runs out.

        `burdens` and `typical`: see fairness.by_turn; users that are not named have had no device time.
        """
        return self._commits.run(
            lambda connection: self._claim(connection, limit, lease_seconds, burdens or {}, typical)
        )

    def _claim(
        self,
        connection: sqlite3.Connection,
        limit: int,
        lease_seconds: float,
        burdens: Mapping[str, float],
        typical: float,
    ) -> list[JobRow]:
        users = [user for (user,) in connection.execute(_WAITING_USERS)]
        users = sorted(users, key=lambda user: burdens.get(user, 0.0))[:limit]
        select = "SELECT seq FROM jobs WHERE state = 'pending' AND user_id = ? ORDER BY seq LIMIT ?"
        waiting = {user: [seq for (seq,) in connection.execute(select, (user, limit))] for user in users}
        order = by_turn(waiting, burdens, typical, limit)
        until = self._clock() + lease_seconds
        connection.executemany(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_until = ? WHERE seq = ?",
            [(until, seq) for seq in order],
        )
        rows = [connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE seq = ?", (seq,)).fetchone() for seq in order]
        return with_bodies(connection, rows)

    def start(self, job_id: str, lease_seconds: float) -> int:
        """Begin work on one job and return the number of this attempt, 1 or more.

        A running job may be started again after its backend crashed. Raises Refused when the job has ended, and when
        this would be its fourth attempt: then the job is failed as poisonous.
        """

        def write(connection: sqlite3.Connection) -> int:
            found = connection.execute("SELECT state, attempt FROM jobs WHERE id = ?", (job_id,)).fetchone()
            if found is None:
                raise NotFound("This job does not exist.")
            state, attempt = found
            if state not in (JobState.PENDING, JobState.RUNNING):
                raise Refused("This job has already ended.")
            if attempt >= MAX_ATTEMPTS:
                self._end(connection, [job_id], JobState.FAILED, POISONOUS)
                return 0
            connection.execute(
                "UPDATE jobs SET state = 'running', attempt = attempt + 1, lease_until = ? WHERE id = ?",
                (self._clock() + lease_seconds, job_id),
            )
            return int(attempt) + 1

        attempt = self._commits.run(write)
        if attempt == 0:
            raise Refused(POISONOUS)
        return attempt

    def renew(self, job_ids: Iterable[str], lease_seconds: float) -> None:
        """Work on these jobs goes on; those that are not running are left alone."""
        until = self._clock() + lease_seconds
        values = [(until, job_id) for job_id in job_ids]
        self._commits.run(
            lambda connection: connection.executemany(
                "UPDATE jobs SET lease_until = ? WHERE id = ? AND state = 'running'", values
            )
        )

    def give_back(self, job_ids: Iterable[str]) -> None:
        """Running jobs that nobody harmed (a redirect, an orderly shutdown) wait again; the attempt is not counted."""
        values = [(job_id,) for job_id in job_ids]
        self._commits.run(
            lambda connection: connection.executemany(
                "UPDATE jobs SET state = 'pending', attempt = attempt - 1, lease_until = 0"
                " WHERE id = ? AND state = 'running'",
                values,
            )
        )

    def finish(self, job_id: str, path: str, *, seconds: float = 0.0) -> None:
        """The picture is stored at `path` (its file is already on disk); the device worked `seconds` for it."""
        self._commits.run(lambda connection: self._end(connection, [job_id], JobState.STORED, path, seconds))

    def fail(self, job_id: str, sentence: str) -> None:
        """The job ends without a picture, for this reason."""
        self._commits.run(lambda connection: self._end(connection, [job_id], JobState.FAILED, sentence))

    def cancel(self, job_ids: Iterable[str]) -> int:
        """Drop these jobs; returns how many had not ended before."""
        wanted = list(job_ids)
        return self._commits.run(lambda connection: self._end(connection, wanted, JobState.CANCELLED, ""))

    def _end(
        self,
        connection: sqlite3.Connection,
        job_ids: Sequence[str],
        state: JobState,
        outcome: str,
        seconds: float = 0.0,
    ) -> int:
        """Final state for those of the jobs that have none; drops bodies nobody needs any more."""
        ended = 0
        for job_id in job_ids:
            found = connection.execute(
                "UPDATE jobs SET state = ?, outcome = ?, seconds = ?, lease_until = 0, ended_at = ?"
                " WHERE id = ? AND state IN ('pending', 'running') RETURNING body_id",
                (state.value, outcome, seconds, self._clock(), job_id),
            ).fetchall()
            for (body_id,) in found:
                connection.execute("UPDATE job_bodies SET open = open - 1 WHERE id = ?", (body_id,))
                connection.execute("DELETE FROM job_bodies WHERE id = ? AND open <= 0", (body_id,))
            ended += len(found)
        return ended

    def reclaim(self) -> list[Backlog]:
        """After a restart: every job that was promised and has not ended is pending again; how many there are, by user.

        A job that was running counts its attempt; after three of them it is failed as poisonous instead. Read the jobs
        themselves with `promised`: there may be more of them than memory should hold.
        """

        def take_back(connection: sqlite3.Connection) -> list[Backlog]:
            self._back_to_pending(connection, "state = 'running'")
            return backlogs(connection)

        return self._commits.run(take_back)

    def promised(self, backlog: Backlog, *, after: int, limit: int, session_id: str | None = None) -> list[JobRow]:
        """The next page of those of a user's jobs that are pending since before a restart, oldest first, with bodies.

        `after`: the `seq` the last page ended with. `session_id`: those of this session only.
        """
        return self._database.reading(lambda connection: page_of(connection, backlog, after, limit, session_id))

    def unended(self, job_ids: Iterable[str]) -> set[str]:
        """Those of the jobs that are pending or running."""
        sql = "SELECT jobs.id FROM json_each(?) CROSS JOIN jobs ON jobs.id = value AND state IN ('pending', 'running')"
        return {job_id for (job_id,) in self._database.read(sql, (json.dumps(list(job_ids)),))}

    def expire(self) -> list[JobRow]:
        """Running jobs whose lease ran out, pending again (or failed as poisonous, and then not in the list)."""
        now = self._clock()
        return self._commits.run(
            lambda connection: self._back_to_pending(connection, "state = 'running' AND lease_until < ?", now)
        )

    def _back_to_pending(self, connection: sqlite3.Connection, which: str, *values: float) -> list[JobRow]:
        """These running jobs, pending again; those that wore out their attempts are failed, and not in the list."""
        rows = connection.execute(f"SELECT {COLUMNS} FROM jobs WHERE {which} ORDER BY seq", values).fetchall()
        found = with_bodies(connection, rows)
        worn = {row.id for row in found if row.attempt >= MAX_ATTEMPTS}
        self._end(connection, sorted(worn), JobState.FAILED, POISONOUS)
        back = [replace(row, state=JobState.PENDING, lease_until=0.0) for row in found if row.id not in worn]
        connection.executemany(
            "UPDATE jobs SET state = 'pending', lease_until = 0 WHERE id = ?", [(row.id,) for row in back]
        )
        return back

    def ledger(self) -> dict[JobState, int]:
        """How many jobs are in each state; every state is named."""
        counts = dict.fromkeys(JobState, 0)
        for state, count in self._database.read("SELECT state, COUNT(*) FROM jobs GROUP BY state"):
            counts[JobState(state)] = count
        return counts

    def find(self, job_id: str) -> JobRow | None:
        """One job, without its body."""
        rows = self._database.read(f"SELECT {COLUMNS} FROM jobs WHERE id = ?", (job_id,))
        return as_row(rows[0]) if rows else None

    def of_session(self, session_id: str, *, limit: int = 1000, after: int = 0) -> list[JobRow]:
        """A page of a session's jobs, oldest first, without bodies; `after`: the `seq` the last page ended with."""
        rows = self._database.read(
            f"SELECT {COLUMNS} FROM jobs WHERE session_id = ? AND seq > ? ORDER BY seq LIMIT ?",
            (session_id, after, limit),
        )
        return [as_row(values) for values in rows]

    def device_seconds(self, since: float) -> dict[str, float]:
        """Device seconds per user of the jobs stored after `since` (unix seconds); what fairness starts from."""
        rows = self._database.read(
            "SELECT user_id, SUM(seconds) FROM jobs WHERE ended_at > ? AND state = 'stored' GROUP BY user_id", (since,)
        )
        return {user_id: float(seconds) for user_id, seconds in rows}

    def forget(self, before: float) -> int:
        """Delete the rows of jobs that ended before this time (unix seconds); returns how many."""
        return self._commits.run(
            lambda connection: connection.execute("DELETE FROM jobs WHERE ended_at < ?", (before,)).rowcount
        )


def _add_body(connection: sqlite3.Connection, body: bytes, jobs: int) -> int | None:
    cursor = connection.execute("INSERT INTO job_bodies (data, open) VALUES (?, ?)", (body, jobs))
    return cursor.lastrowid


__all__ = ["MAX_ATTEMPTS", "POISONOUS", "Backlog", "JobRow", "JobState", "JobStore", "NewJob"]

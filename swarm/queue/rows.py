"""The shape of job rows: the values callers see, the tables they lie in, and the way between the two."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

MIGRATIONS = (
    """
    CREATE TABLE job_bodies (id INTEGER PRIMARY KEY, data BLOB NOT NULL, open INTEGER NOT NULL);
    CREATE TABLE jobs (
        seq INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        session_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        idx INTEGER NOT NULL,
        body_id INTEGER NOT NULL,
        state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'stored', 'failed', 'cancelled')),
        attempt INTEGER NOT NULL DEFAULT 0,
        lease_until REAL NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0,
        outcome TEXT NOT NULL DEFAULT '',
        accepted_at REAL NOT NULL,
        ended_at REAL
    );
    CREATE INDEX jobs_pending ON jobs (user_id, seq) WHERE state = 'pending';
    CREATE INDEX jobs_running ON jobs (lease_until) WHERE state = 'running';
    CREATE INDEX jobs_ended ON jobs (ended_at) WHERE ended_at IS NOT NULL;
    CREATE INDEX jobs_of_session ON jobs (session_id, seq)
    """,
)


class JobState(StrEnum):
    """Where a promised job stands. It is in exactly one of these, always; the last three are final."""

    PENDING = "pending"
    RUNNING = "running"
    STORED = "stored"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """A picture somebody is about to be promised.

    `index`: its batch index within the request. `body`: everything needed to make it again after a restart; jobs of one
    `accept` that carry equal bodies share one copy on disk.
    """

    id: str
    session_id: str
    user_id: str
    request_id: str
    index: int
    body: bytes


@dataclass(frozen=True, kw_only=True)
class JobRow:
    """A promised picture as the file has it.

    `attempt`: how often work on it has begun. `outcome`: the picture's path when stored, the sentence when failed,
    else empty. `body` is empty in listings and once the job has ended.
    """

    seq: int
    id: str
    session_id: str
    user_id: str
    request_id: str
    index: int
    state: JobState
    attempt: int
    lease_until: float
    outcome: str
    accepted_at: float
    body: bytes = b""


COLUMNS = "seq, id, session_id, user_id, request_id, idx, state, attempt, lease_until, outcome, accepted_at, body_id"


def as_row(values: Sequence[Any], body: bytes = b"") -> JobRow:
    """A row selected as COLUMNS."""
    seq, job_id, session_id, user_id, request_id, index, state, attempt, lease_until, outcome, accepted_at, _ = values
    return JobRow(
        seq=seq,
        id=job_id,
        session_id=session_id,
        user_id=user_id,
        request_id=request_id,
        index=index,
        state=JobState(state),
        attempt=attempt,
        lease_until=lease_until,
        outcome=outcome,
        accepted_at=accepted_at,
        body=body,
    )


def with_bodies(connection: sqlite3.Connection, rows: Iterable[Sequence[Any]]) -> list[JobRow]:
    """Rows selected as COLUMNS, with their bodies; jobs that share a body share the bytes object too."""
    bodies: dict[int, bytes] = {}
    found = []
    for values in rows:
        body_id = values[-1]
        if body_id not in bodies:
            kept = connection.execute("SELECT data FROM job_bodies WHERE id = ?", (body_id,)).fetchone()
            bodies[body_id] = kept[0] if kept else b""
        found.append(as_row(values, bodies[body_id]))
    return found

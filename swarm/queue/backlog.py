"""What was promised before a restart and is still to be made: how much of it, and page by page. Selects only."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from swarm.queue.rows import COLUMNS, JobRow, with_bodies


@dataclass(frozen=True, kw_only=True)
class Backlog:
    """A user's pending jobs. `sessions`: how many of each session. `last`: the `seq` of the newest of them.

    No job that is promised later has a `seq` up to `last` as long as that one is pending.
    """

    user_id: str
    sessions: Mapping[str, int]
    last: int


def backlogs(connection: sqlite3.Connection) -> list[Backlog]:
    """All pending jobs, counted."""
    rows = connection.execute(
        "SELECT user_id, session_id, COUNT(*), MAX(seq) FROM jobs INDEXED BY jobs_pending WHERE state = 'pending'"
        " GROUP BY user_id, session_id ORDER BY user_id"
    ).fetchall()
    found = []
    for user_id, group in groupby(rows, itemgetter(0)):
        of_user = list(group)
        sessions = {session_id: count for _, session_id, count, _ in of_user}
        found.append(Backlog(user_id=user_id, sessions=sessions, last=max(last for *_, last in of_user)))
    return found


def page_of(
    connection: sqlite3.Connection, backlog: Backlog, after: int, limit: int, session_id: str | None
) -> list[JobRow]:
    """Pending jobs of the backlog with `seq` beyond `after`, oldest first, with bodies."""
    which, values = ("", ()) if session_id is None else (" AND session_id = ?", (session_id,))
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM jobs INDEXED BY jobs_pending"
        f" WHERE state = 'pending' AND user_id = ? AND seq > ? AND seq <= ?{which} ORDER BY seq LIMIT ?",
        (backlog.user_id, after, backlog.last, *values, limit),
    ).fetchall()
    return with_bodies(connection, rows)

"""Sessions: random ids that stand for a user, kept over restarts for 31 days (swarm-core 2.2)."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress

from swarm.accounts.user import User, UserStore
from swarm.base.database import Database, readable
from swarm.base.errors import Refused
from swarm.base.ids import new_session_id

_LIFETIME_SECONDS = 31 * 24 * 3600
_LONGEST_ORIGIN = 100
_WELL_FORMED = re.compile(r"[0-9a-f]{40}")
_MIGRATIONS = (
    """
    CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        origin TEXT NOT NULL,
        last_active REAL NOT NULL
    );
    CREATE INDEX sessions_by_age ON sessions (last_active);
    """,
)


class Session:
    """One login of one user. `origin`: the address it was made from. Compared by identity."""

    def __init__(self, id: str, user: User, origin: str, now: float) -> None:
        self.id = id
        self.user = user
        self.origin = origin
        self.last_used = now

    def present(self, now: float) -> None:
        """Note that the session called."""
        self.user.last_present = now

    def use(self, now: float) -> None:
        """Note that the session did something that counts as use."""
        self.last_used = now
        self.user.last_used = now


class SessionStore:
    """Live sessions in memory and all sessions in the database; without a database they end with the server.

    `live` never blocks; `create`, `find`, `remove` and `purge` may touch the disk.
    """

    def __init__(self, database: Database | None, users: UserStore, clock: Callable[[], float]) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._live: dict[str, Session] = {}
        self._lock = threading.Lock()
        if database is not None:
            database.prepare("sessions", _MIGRATIONS)

    def create(self, user_id: str, origin: str) -> Session:
        """A new session. Older ones of the user stay valid."""
        short = origin if len(origin) <= _LONGEST_ORIGIN else origin[:_LONGEST_ORIGIN] + "..."
        session = Session(new_session_id(), self._users.get_or_create(user_id), short, self._clock())
        self._save(session)
        with self._lock:
            self._live[session.id] = session
        return session

    def live(self, session_id: str) -> Session | None:
        """The session if it was used since the start; never blocks."""
        return self._live.get(session_id)

    def find(self, session_id: str) -> Session | None:
        """The session, made live again from the database when it is from an earlier run."""
        known = self._live.get(session_id)
        if known is not None or self._database is None or not _WELL_FORMED.fullmatch(session_id):
            return known
        rows = self._database.read("SELECT user_id, origin FROM sessions WHERE id = ?", (session_id,))
        if not rows:
            return None
        user_id, origin = rows[0]
        session = Session(session_id, self._users.get_or_create(user_id), origin, self._clock())
        with self._lock:
            kept = self._live.setdefault(session_id, session)
        if kept is session:
            with suppress(Refused):  # a full disk: it is refreshed the next time
                self._save(session)
        return kept

    def of_user(self, user_id: str) -> list[Session]:
        """Live sessions of a user."""
        with self._lock:
            return [session for session in self._live.values() if session.user.id == user_id]

    def remove(self, session_id: str) -> None:
        """Forget a session; its id is unknown from now on."""
        with self._lock:
            self._live.pop(session_id, None)
        if self._database is not None:
            with self._database.write() as connection:
                connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,))

    def purge(self) -> int:
        """Delete records that were not refreshed for 31 days, except live ones; returns how many."""
        if self._database is None:
            return 0
        limit = self._clock() - _LIFETIME_SECONDS
        old = self._database.read("SELECT id FROM sessions WHERE last_active < ?", (limit,))
        doomed = [row for row in old if row[0] not in self._live]
        with self._database.write() as connection:
            connection.executemany("DELETE FROM sessions WHERE id = ?", doomed)
        return len(doomed)

    def _save(self, session: Session) -> None:
        if self._database is None:
            return
        row = (session.id, session.user.id, session.origin, self._clock())
        try:
            with self._database.write() as connection:
                connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise readable(error) from None

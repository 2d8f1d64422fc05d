"""Sessions: random ids that stand for a user, kept over restarts for 31 days (swarm-core 2.2)."""

from __future__ import annotations

import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from swarm.accounts.tokens import TokenStore
from swarm.accounts.user import User, UserStore
from swarm.base.database import Database, readable
from swarm.base.errors import Refused
from swarm.base.ids import new_session_id

_LIFETIME_SECONDS = 31 * 24 * 3600
_LONGEST_ORIGIN = 100
MOST_LIVE = 10_000
"""Sessions in memory, as far as they can be found again on disk: about 10 MB."""

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
    "ALTER TABLE sessions ADD COLUMN token TEXT",
    "ALTER TABLE sessions ADD COLUMN actor TEXT",
    "CREATE INDEX sessions_by_origin ON sessions (origin)",
)


class Session:
    """One login of one user. `origin`: the address it was made from. Compared by identity.

    `token_id`: the login token that proved who it is; None in open mode, and for callers of this machine. `actor_id`:
    who asked for it; somebody else than the user where an administrator acts as them. `is_kept`: it is on disk.
    """

    def __init__(
        self,
        id: str,
        user: User,
        origin: str,
        now: float,
        token_id: str | None = None,
        actor_id: str | None = None,
    ) -> None:
        self.id = id
        self.user = user
        self.origin = origin
        self.token_id = token_id
        self.actor_id = actor_id or user.id
        self.last_used = now
        self.last_present = now
        self.is_kept = False
        self.has_ended = False
        self._lock = threading.Lock()
        self._watchers: set[Callable[[], object]] = set()

    @contextmanager
    def watched(self, ended: Callable[[], object]) -> Iterator[None]:
        """Have `ended` called, in whatever thread, when the session ends inside this block, or has ended before."""
        with self._lock:
            self._watchers.add(ended)
            late = self.has_ended
        try:
            if late:
                ended()
            yield
        finally:
            with self._lock:
                self._watchers.discard(ended)

    @property
    def is_busy(self) -> bool:
        """Whether somebody watches it, as everyone does who works for it."""
        return bool(self._watchers)

    def end(self) -> None:
        """Nobody may use it from now on; whoever watches is told."""
        with self._lock:
            self.has_ended = True
            watchers = tuple(self._watchers)
        for tell in watchers:
            tell()

    def present(self, now: float) -> None:
        """Note that the session called."""
        self.last_present = now
        self.user.last_present = now

    def use(self, now: float) -> None:
        """Note that the session did something that counts as use."""
        self.last_used = now
        self.user.last_used = now


class SessionStore:
    """Live sessions in memory and all sessions in the database; without a database they end with the server.

    Of those in the database, `most_live` at most stay in memory; the others come back when they call.

    `live` never blocks; the rest may touch the disk. `tokens`: the logins that sessions come from. `needs_token`: as
    in accounts mode, only sessions that come from a login are kept, and taken up again after a restart.
    """

    def __init__(
        self,
        database: Database | None,
        users: UserStore,
        clock: Callable[[], float],
        tokens: TokenStore | None = None,
        *,
        needs_token: bool = False,
        most_live: int = MOST_LIVE,
    ) -> None:
        self._database = database
        self._users = users
        self._clock = clock
        self._tokens = tokens
        self.needs_token = needs_token
        self._most_live = most_live
        self._live: dict[str, Session] = {}
        self._lock = threading.Lock()
        if database is not None:
            database.prepare("sessions", _MIGRATIONS)

    def create(self, user_id: str, origin: str, token_id: str | None = None, actor_id: str | None = None) -> Session:
        """A new session. Older ones of the user stay valid."""
        user = self._users.get_or_create(user_id)
        session = Session(new_session_id(), user, _short(origin), self._clock(), token_id, actor_id)
        if token_id is not None or not self.needs_token:
            self._save(session)
        with self._lock:
            self._live[session.id] = session
            self._let_rest()
        return session

    def _let_rest(self) -> None:
        """Leave to the disk what called longest ago, a quarter at a time. Under the lock."""
        if self._database is None or len(self._live) <= self._most_live:
            return
        resting = sorted(
            (one for one in self._live.values() if one.is_kept and not one.is_busy), key=lambda one: one.last_present
        )
        for session in resting[: len(self._live) - self._most_live * 3 // 4]:
            del self._live[session.id]

    def live(self, session_id: str) -> Session | None:
        """The session if it was used since the start; never blocks."""
        return self._live.get(session_id)

    def find(self, session_id: str) -> Session | None:
        """The session, made live again from the database when it is from an earlier run."""
        known = self._live.get(session_id)
        if known is not None or self._database is None or not _WELL_FORMED.fullmatch(session_id):
            return known
        rows = self._database.read("SELECT user_id, origin, token, actor FROM sessions WHERE id = ?", (session_id,))
        if not rows:
            return None
        user_id, origin, token_id, actor_id = rows[0]
        if not self._may_return(token_id):
            self.remove(session_id)
            return None
        user = self._users.get_or_create(user_id)
        session = Session(session_id, user, origin, self._clock(), token_id, actor_id)
        session.is_kept = True
        with self._lock:
            kept = self._live.setdefault(session_id, session)
            self._let_rest()
        if kept is session:
            with suppress(Refused):  # a full disk: it is refreshed the next time
                self._save(session)
        return kept

    def has_origin(self, origin: str) -> bool:
        """Whether any session that has not ended was made from this address."""
        short = _short(origin)
        with self._lock:
            if any(session.origin == short for session in self._live.values()):
                return True
        if self._database is None:
            return False
        return bool(self._database.read("SELECT 1 FROM sessions WHERE origin = ? LIMIT 1", (short,)))

    def _may_return(self, token_id: str | None) -> bool:
        """Whether a session of an earlier run still counts."""
        if token_id is None:
            return not self.needs_token
        return self._tokens is not None and self._tokens.exists(token_id)

    def of_user(self, user_id: str) -> list[Session]:
        """Live sessions of a user."""
        with self._lock:
            return [session for session in self._live.values() if session.user.id == user_id]

    def remove(self, session_id: str) -> None:
        """End a session; its id is unknown from now on."""
        self._end("id = ?", session_id, lambda session: session.id == session_id)

    def end_user(self, user_id: str, *, but: Session | None = None) -> list[Session]:
        """End all sessions of a user, or all but one, and those they made as others; returns those that were live."""

        def chosen(session: Session) -> bool:
            return user_id in (session.user.id, session.actor_id) and session is not but

        return self._end("?1 IN (user_id, actor)", user_id, chosen)

    def end_login(self, token_id: str) -> list[Session]:
        """End all sessions that come from a login; returns those that were live."""
        return self._end("token = ?", token_id, lambda session: session.token_id == token_id)

    def end_unproven(self) -> list[Session]:
        """End all sessions that do not come from a login; returns those that were live."""
        return self._end("token IS NULL AND id <> ?", "", lambda session: session.token_id is None)

    def _end(self, where: str, value: str, chosen: Callable[[Session], bool]) -> list[Session]:
        with self._lock:
            ended = [session for session in self._live.values() if chosen(session)]
            for session in ended:
                del self._live[session.id]
            kept = tuple(self._live)
        for session in ended:
            session.end()
        if self._database is not None:
            rows = self._database.read(f"SELECT id FROM sessions WHERE {where}", (value,))
            doomed = [row for row in rows if row[0] not in kept]
            with self._database.write() as connection:
                connection.executemany("DELETE FROM sessions WHERE id = ?", doomed)
        return ended

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
        row = (session.id, session.user.id, session.origin, self._clock(), session.token_id, session.actor_id)
        try:
            with self._database.write() as connection:
                connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?, ?)", row)
            session.is_kept = True
        except sqlite3.Error as error:
            raise readable(error) from None


def _short(origin: str) -> str:
    return origin if len(origin) <= _LONGEST_ORIGIN else origin[:_LONGEST_ORIGIN] + "..."

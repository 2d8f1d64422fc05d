"""One sqlite file shared by several stores: WAL, one writer connection, one reader connection, numbered migrations.

Blocking; call it through `base.tasks.to_thread` from async code. No ORM: stores write their own small SQL.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from swarm.base.errors import Refused

T = TypeVar("T")

BUSY_SECONDS = 5.0
"""How long a write waits for another process, or for the writes before it, that hold the file."""

BUSY, DISK_FULL = "busy", "disk_full"
"""The error ids of writes that were refused for these reasons."""

_SHORTLY = 0.5
_START_SECONDS = 30
logger = logging.getLogger(__name__)


class Database:
    """A sqlite file. `durable=True` fsyncs every commit (jobs, accounts); False may lose the last commits at a
    power cut, never consistency (indexes and caches that can be rebuilt).

    `before_changes`: called once, before tables that an older version has filled are changed.
    """

    def __init__(self, path: Path, *, durable: bool, before_changes: Callable[[], object] | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._writer = self._connect(durable)
        self._reader = self._connect(durable)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._before_changes = before_changes
        self._writer.execute("CREATE TABLE IF NOT EXISTS schema (store TEXT PRIMARY KEY, version INTEGER NOT NULL)")
        for connection in (self._writer, self._reader):
            connection.execute(f"PRAGMA busy_timeout={int(BUSY_SECONDS * 1000)}")

    def _connect(self, durable: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=_START_SECONDS)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def prepare(self, store: str, migrations: Sequence[str]) -> None:
        """Bring the tables of `store` up to date: run the migrations (SQL scripts) it has not seen, in order.

        All of them or none, whatever ends the process meanwhile. Raises Refused for tables of a newer version.
        """
        row = self.read("SELECT version FROM schema WHERE store = ?", (store,))
        done = row[0][0] if row else 0
        if done > len(migrations):
            raise Refused(
                f"{self.path} belongs to a newer version of Swarm ({store} {done}; this one knows {len(migrations)}). "
                "Start that version, or put the copy from before the upgrade in its place; it is in Backups."
            )
        if done == len(migrations):
            return
        if done and self._before_changes is not None:
            try:
                self._before_changes()
            except OSError as error:
                raise Refused(f"{self.path} has to be copied before it is changed, and cannot be: {error}") from None
            self._before_changes = None
        with self.write() as connection:
            for script in migrations[done:]:
                for statement in filter(None, (part.strip() for part in script.split(";"))):
                    connection.execute(statement)
            connection.execute("INSERT OR REPLACE INTO schema VALUES (?, ?)", (store, len(migrations)))

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the writer connection: committed at the end, rolled back on any error."""
        has_waited = not self._write_lock.acquire(blocking=False)
        if has_waited and not self._write_lock.acquire(timeout=BUSY_SECONDS):
            raise sqlite3.OperationalError("database is locked")
        try:
            # Who has waited for another write here does not wait as long again for other processes.
            self._writer.execute(f"PRAGMA busy_timeout={int(1000 * (_SHORTLY if has_waited else BUSY_SECONDS))}")
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk makes sqlite roll back by itself
                    self._writer.execute("ROLLBACK")
                raise
        finally:
            self._write_lock.release()

    @contextmanager
    def write_if_possible(self) -> Iterator[sqlite3.Connection]:
        """Like `write`, for what can be learnt again: a disk that takes nothing is a line in the log, no error."""
        try:
            with self.write() as connection:
                yield connection
        except sqlite3.OperationalError as error:
            logger.warning("%s could not take something that can be learnt again: %s", self.path.name, error)

    def reading(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """What `work` finds with several queries, each seen from the last commit."""
        with self._read_lock:
            return work(self._reader)

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, seen from the last commit."""
        with self._read_lock:
            return self._reader.execute(sql, values).fetchall()

    def close(self) -> None:
        """Checkpoint the log and close both connections. A file that was deleted meanwhile is written anew."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            if self.path.exists():
                self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                logger.error("%s was deleted while the server ran; it is written anew.", self.path.name)
                self._writer.execute("VACUUM INTO ?", (str(self.path),))
            self._writer.close()


def readable(error: BaseException) -> BaseException:
    """Full, failing and busy disks as sentences; anything else as it came. A quota is an I/O error to sqlite."""
    text = str(error) if isinstance(error, sqlite3.Error) else ""
    if "disk is full" in text or "disk I/O error" in text:
        return Refused(
            "The server's disk is full, so nothing was taken. Free some space and try again.", error_id=DISK_FULL
        )
    if "is locked" in text:
        return Refused("The server's database is busy. Try again in a moment.", error_id=BUSY)
    return error

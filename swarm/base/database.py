"""One sqlite file shared by several stores: WAL, one writer connection, one reader connection, numbered migrations.

Blocking; call it through `base.tasks.to_thread` from async code. No ORM: stores write their own small SQL.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from swarm.base.errors import Refused

logger = logging.getLogger(__name__)


class Database:
    """A sqlite file. `durable=True` fsyncs every commit (jobs, accounts); False may lose the last commits at a
    power cut, never consistency (indexes and caches that can be rebuilt)."""

    def __init__(self, path: Path, *, durable: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._writer = self._connect(durable)
        self._reader = self._connect(durable)
        self._write_lock = threading.Lock()
        self._read_lock = threading.Lock()
        self._writer.execute("CREATE TABLE IF NOT EXISTS schema (store TEXT PRIMARY KEY, version INTEGER NOT NULL)")

    def _connect(self, durable: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=30)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA foreign_keys=ON")
        return connection

    def prepare(self, store: str, migrations: Sequence[str]) -> None:
        """Bring the tables of `store` up to date: run the migrations (SQL scripts) it has not seen, in order."""
        with self.write() as connection:
            row = connection.execute("SELECT version FROM schema WHERE store = ?", (store,)).fetchone()
            done = row[0] if row else 0
            for script in migrations[done:]:
                for statement in filter(None, (part.strip() for part in script.split(";"))):
                    connection.execute(statement)
            connection.execute("INSERT OR REPLACE INTO schema VALUES (?, ?)", (store, len(migrations)))

    @contextmanager
    def write(self) -> Iterator[sqlite3.Connection]:
        """One transaction on the writer connection: committed at the end, rolled back on any error."""
        with self._write_lock:
            self._writer.execute("BEGIN IMMEDIATE")
            try:
                yield self._writer
                self._writer.execute("COMMIT")
            except BaseException:
                if self._writer.in_transaction:  # a full disk makes sqlite roll back by itself
                    self._writer.execute("ROLLBACK")
                raise

    @contextmanager
    def write_if_possible(self) -> Iterator[sqlite3.Connection]:
        """Like `write`, for what can be learnt again: a disk that takes nothing is a line in the log, no error."""
        try:
            with self.write() as connection:
                yield connection
        except sqlite3.OperationalError as error:
            logger.warning("%s could not take something that can be learnt again: %s", self.path.name, error)

    def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, seen from the last commit."""
        with self._read_lock:
            return self._reader.execute(sql, values).fetchall()

    def close(self) -> None:
        """Checkpoint the log and close both connections."""
        with self._write_lock, self._read_lock:
            self._reader.close()
            self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._writer.close()


def readable(error: BaseException) -> BaseException:
    """Full, failing and busy disks as sentences; anything else as it came. A quota is an I/O error to sqlite."""
    text = str(error)
    if "disk is full" in text or "disk I/O error" in text:
        return Refused(
            "The server's disk is full, so nothing was taken. Free some space and try again.", error_id="disk_full"
        )
    if "is locked" in text:
        return Refused("The server's database is busy. Try again in a moment.", error_id="busy")
    return error

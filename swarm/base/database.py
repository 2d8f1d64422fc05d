"""One sqlite file shared by several stores: WAL, one writer connection, one reader connection, numbered migrations.

Blocking; call it through `base.tasks.to_thread` from async code. No ORM: stores write their own small SQL.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any


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

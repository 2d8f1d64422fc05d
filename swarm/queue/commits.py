"""Group commit: writes that arrive while the disk is busy share the next transaction and its fsync.

Every caller still returns only after its own rows are on disk, and one caller's bad row does not undo another's.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

from swarm.base.database import Database, readable
from swarm.base.errors import SwarmError

T = TypeVar("T")


class _Ticket(Generic[T]):
    """One caller's work, and how it went."""

    def __init__(self, work: Callable[[sqlite3.Connection], T]) -> None:
        self._work = work
        self._value: T | None = None
        self.error: BaseException | None = None
        self.is_done = False

    def attempt(self, connection: sqlite3.Connection) -> None:
        """Do the work inside a savepoint, so that its failure takes back its own rows only."""
        connection.execute("SAVEPOINT ticket")
        try:
            self._value = self._work(connection)
        except (sqlite3.Error, SwarmError) as error:
            self.error = error
            if not connection.in_transaction:  # the disk is full and sqlite gave up the whole transaction
                raise
            connection.execute("ROLLBACK TO ticket")
        connection.execute("RELEASE ticket")

    def result(self) -> T:
        if self.error is not None:
            raise readable(self.error)
        return self._value  # type: ignore[return-value]  # attempt() has stored a T


class GroupCommit:
    """Runs pieces of work on a database's writer, several to a transaction. Blocking and thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Ticket[object]] = []
        self._list_lock = Lock()
        self._turn = Lock()

    def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work`, commit durably, return its value. Raises what it raised; a full or locked disk raises Refused."""
        ticket = _Ticket(work)
        with self._list_lock:
            self._waiting.append(ticket)  # type: ignore[arg-type]  # the list holds tickets of any value
        with self._turn:  # whoever comes first commits for all; the others find their ticket done
            if not ticket.is_done:
                with self._list_lock:
                    batch, self._waiting = self._waiting, []
                self._commit(batch)
        return ticket.result()

    def _commit(self, batch: list[_Ticket[object]]) -> None:
        try:
            with self._database.write() as connection:
                for ticket in batch:
                    ticket.attempt(connection)
        except BaseException as error:  # nothing of this transaction is on disk
            for ticket in batch:
                ticket.error = error
            if not isinstance(error, sqlite3.Error):
                raise
        finally:
            for ticket in batch:
                ticket.is_done = True

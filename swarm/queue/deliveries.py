"""Web hooks that are still to be sent: kept on disk, so that neither a slow receiver nor a restart loses one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from swarm.base.database import Database
from swarm.base.ids import new_job_id

MOST_WAITING = 1000
_MIGRATIONS = (
    """
    CREATE TABLE deliveries (
        id TEXT PRIMARY KEY, event TEXT NOT NULL, url TEXT NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL,
        attempt INTEGER NOT NULL DEFAULT 0, due REAL NOT NULL
    );
    CREATE INDEX deliveries_due ON deliveries (due)
    """,
)


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One message to one address. `type`: its content type. `attempt`: how often it was tried in vain."""

    id: str
    event: str
    url: str
    type: str
    body: bytes
    attempt: int = 0


class DeliveryStore:
    """Blocking and thread-safe. `clock`: unix seconds."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        database.prepare("deliveries", _MIGRATIONS)
        self._database = database
        self._clock = clock

    def add(self, event: str, url: str, type: str, body: bytes) -> Delivery:
        """Keep a message; when too many wait, the oldest make room."""
        made = Delivery(id=new_job_id(), event=event, url=url, type=type, body=body)
        with self._database.write_if_possible() as connection:
            connection.execute(
                "INSERT INTO deliveries (id, event, url, type, body, due) VALUES (?, ?, ?, ?, ?, ?)",
                (made.id, event, url, type, body, self._clock()),
            )
            connection.execute(
                "DELETE FROM deliveries WHERE id NOT IN (SELECT id FROM deliveries ORDER BY rowid DESC LIMIT ?)",
                (MOST_WAITING,),
            )
        return made

    def due(self, limit: int = 16) -> list[Delivery]:
        """Those whose time has come, oldest first."""
        rows = self._database.read(
            "SELECT id, event, url, type, body, attempt FROM deliveries WHERE due <= ? ORDER BY rowid LIMIT ?",
            (self._clock(), limit),
        )
        names = ("id", "event", "url", "type", "body", "attempt")
        return [Delivery(**dict(zip(names, row, strict=True))) for row in rows]

    def later(self, delivery: Delivery, seconds: float) -> None:
        """It was tried in vain and is due again then."""
        with self._database.write_if_possible() as connection:
            connection.execute(
                "UPDATE deliveries SET attempt = attempt + 1, due = ? WHERE id = ?",
                (self._clock() + seconds, delivery.id),
            )

    def done(self, delivery: Delivery) -> None:
        """It arrived, or is given up."""
        with self._database.write_if_possible() as connection:
            connection.execute("DELETE FROM deliveries WHERE id = ?", (delivery.id,))

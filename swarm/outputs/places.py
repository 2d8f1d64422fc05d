"""Where the pictures of jobs were about to be put: after a crash it tells those that are on disk from those to make.

In the rebuildable database, for a lost note only means that a picture is made twice.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from swarm.base.clock import Clock
from swarm.base.database import Database

_MIGRATIONS = (
    """
    CREATE TABLE places (
        job_id TEXT NOT NULL,
        number INTEGER NOT NULL,
        url TEXT NOT NULL,
        path TEXT NOT NULL,
        noted_at REAL NOT NULL,
        PRIMARY KEY (job_id, number)
    );
    CREATE INDEX places_by_age ON places (noted_at)
    """,
)
_REMEMBERED_SECONDS = 24 * 3600.0
"""A file follows its note within moments; older notes have nothing to tell."""


class Places:
    """Notes by job id and number of the picture within the job. Blocking and thread-safe."""

    def __init__(self, database: Database, clock: Clock) -> None:
        database.prepare("places", _MIGRATIONS)
        self._database = database
        self._clock = clock

    def note(self, job_id: str, number: int, url: str, path: Path) -> None:
        """Picture `number` of the job will appear at `path`, complete. Call it before it does."""
        now = self._clock()
        with self._database.write() as connection:
            connection.execute("DELETE FROM places WHERE noted_at < ?", (now - _REMEMBERED_SECONDS,))
            connection.execute(
                "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?)",
                (job_id, number, url, str(path), now),
            )

    def noted(self) -> set[str]:
        """The jobs that any picture's place was noted for."""
        return {job_id for (job_id,) in self._database.read("SELECT DISTINCT job_id FROM places")}

    def kept(self, job_ids: Collection[str]) -> dict[str, dict[int, str]]:
        """After a restart, before anything is saved: job id -> number -> URL of the pictures that are on disk.

        All other notes are forgotten: the names they speak of may be given to other pictures from now on.
        """
        wanted, kept, true = set(job_ids), dict[str, dict[int, str]](), []
        for row in self._database.read("SELECT job_id, number, url, path, noted_at FROM places"):
            job_id, number, url, path, _ = row
            if job_id in wanted and Path(path).is_file():
                kept.setdefault(job_id, {})[number] = url
                true.append(row)
        with self._database.write() as connection:
            connection.execute("DELETE FROM places")
            connection.executemany("INSERT INTO places VALUES (?, ?, ?, ?, ?)", true)
        return kept

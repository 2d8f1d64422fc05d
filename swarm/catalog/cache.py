"""What was learnt about model files, in a rebuildable sqlite file, keyed by path and good for one stamp."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from swarm.base.database import Database

_MIGRATIONS = (
    """
    CREATE TABLE model_records (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE model_previews (path TEXT PRIMARY KEY, picture TEXT NOT NULL);
    CREATE TABLE model_hashes (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, hash TEXT NOT NULL) WITHOUT ROWID
    """,
)


class ModelCache:
    """Blocking and thread-safe, as Database is. A full disk costs memory only: what is not kept is learnt again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.prepare("catalog", _MIGRATIONS)

    def records(self) -> dict[str, tuple[str, bytes]]:
        """path -> (stamp, record)."""
        rows = self._database.read("SELECT path, stamp, record FROM model_records")
        return {path: (stamp, record) for path, stamp, record in rows}

    def update(self, learnt: Iterable[tuple[Path, str, bytes, str | None]], gone: Sequence[str]) -> None:
        """`learnt`: (path, stamp, record, preview data URL or None). `gone`: paths to forget. One transaction."""
        with self._database.write_if_possible() as connection:
            for path, stamp, record, preview in learnt:
                connection.execute("INSERT OR REPLACE INTO model_records VALUES (?, ?, ?)", (str(path), stamp, record))
                connection.execute("DELETE FROM model_previews WHERE path = ?", (str(path),))
                if preview is not None:
                    connection.execute("INSERT INTO model_previews VALUES (?, ?)", (str(path), preview))
            for table in ("model_records", "model_previews", "model_hashes"):
                connection.executemany(f"DELETE FROM {table} WHERE path = ?", [(path,) for path in gone])

    def clear(self) -> None:
        """Forget everything."""
        with self._database.write() as connection:
            for table in ("model_records", "model_previews", "model_hashes"):
                connection.execute(f"DELETE FROM {table}")

    def preview(self, path: Path) -> str | None:
        """The picture that lay in the model's metadata, as a data URL."""
        rows = self._database.read("SELECT picture FROM model_previews WHERE path = ?", (str(path),))
        return str(rows[0][0]) if rows else None

    def hashes(self) -> dict[str, tuple[str, str]]:
        """path -> (stamp, hash)."""
        return {path: (stamp, hash) for path, stamp, hash in self._database.read("SELECT * FROM model_hashes")}

    def remember_hash(self, path: Path, stamp: str, hash: str) -> None:
        with self._database.write_if_possible() as connection:
            connection.execute("INSERT OR REPLACE INTO model_hashes VALUES (?, ?, ?)", (str(path), stamp, hash))

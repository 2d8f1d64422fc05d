"""Small versions of pictures, made when asked for and kept in the index's database."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from anyio import CapacityLimiter

from swarm.base.database import Database
from swarm.base.errors import BadInput
from swarm.base.paths import open_itself
from swarm.media.animation import moving_thumbnail
from swarm.media.formats import thumbnail
from swarm.media.video_frames import first_seconds, video_thumbnail
from swarm.outputs.files import sidecar

_MIGRATIONS = (
    """
    CREATE TABLE output_previews (
        id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL, moving INTEGER NOT NULL, stamp TEXT NOT NULL,
        mime TEXT NOT NULL, data BLOB NOT NULL, UNIQUE (path, moving)
    )
    """,
)
_KEPT = 50_000
"""About 600 MB; the oldest go first."""

_MAX_SOURCE_BYTES = 256 * 1024 * 1024
_EXTENSIONS = frozenset([".png", ".jpg", ".jpeg", ".webp", ".gif", ".avif"])
_VIDEOS = frozenset([".mp4", ".webm", ".mov"])
_MOVING = frozenset([".webp", ".gif"])
STILL_MIME = "image/jpg"
"""Not the registered name, but the one clients know (swarm-core 8.4)."""


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A small picture, encoded."""

    data: bytes
    mime: str


class Previews:
    """Synchronous and thread-safe. Making one takes tens of milliseconds of processor time, and there may be hundreds
    to make at once: do it under `makers`."""

    def __init__(self, database: Database) -> None:
        self.makers = CapacityLimiter(2)
        self._database = database
        database.prepare("output_previews", _MIGRATIONS)

    def find(self, path: Path, *, moving: bool) -> Preview | None:
        """The remembered preview of a file, if the file has not changed since. Raises OSError."""
        rows = self._database.read(
            "SELECT stamp, mime, data FROM output_previews WHERE path = ? AND moving = ?", (path.as_posix(), moving)
        )
        if not rows or rows[0][0] != _stamp(path):
            return None
        return Preview(data=rows[0][2], mime=rows[0][1])

    def make(self, path: Path, metadata: str | None, *, moving: bool) -> Preview | None:
        """Make and remember a preview: a JPEG, or for animations and videos, if `moving`, an animated WebP.

        None when the file is no picture or is damaged. Raises OSError.
        """
        if path.suffix.lower() in _VIDEOS:
            return self._of_video(path, moving=moving)
        if path.suffix.lower() not in _EXTENSIONS or path.stat().st_size > _MAX_SOURCE_BYTES:
            return None
        stamp = _stamp(path)
        with open_itself(path) as file:
            data = file.read()
        try:
            animated = moving_thumbnail(data) if moving and path.suffix.lower() in _MOVING else None
            if animated is not None:
                preview = Preview(data=animated, mime="image/webp")
            else:
                preview = Preview(data=thumbnail(data, metadata=metadata), mime=STILL_MIME)
        except BadInput:
            return None
        self._remember(path, moving, stamp, preview)
        return preview

    def _of_video(self, path: Path, *, moving: bool) -> Preview | None:
        """The small version beside a video, else one made of its first seconds."""
        mime = "image/webp" if moving else STILL_MIME
        beside = sidecar(path, ".swarmpreview.webp" if moving else ".swarmpreview.jpg")
        if beside.is_file():
            with open_itself(beside) as file:
                return Preview(data=file.read(), mime=mime)
        stamp = _stamp(path)
        try:
            preview = Preview(data=video_thumbnail(first_seconds(path), moving=moving), mime=mime)
        except BadInput:
            return None
        self._remember(path, moving, stamp, preview)
        return preview

    def _remember(self, path: Path, moving: bool, stamp: str, preview: Preview) -> None:
        """A full disk must not keep the picture from being shown."""
        row = (path.as_posix(), moving, stamp, preview.mime, preview.data)
        try:
            with self._database.write() as connection:
                made = connection.execute(
                    "INSERT OR REPLACE INTO output_previews (path, moving, stamp, mime, data) VALUES (?, ?, ?, ?, ?)",
                    row,
                )
                connection.execute("DELETE FROM output_previews WHERE id <= ?", ((made.lastrowid or 0) - _KEPT,))
        except sqlite3.Error:
            return


def _stamp(path: Path) -> str:
    facts = path.stat()
    return f"{facts.st_mtime_ns}-{facts.st_size}"

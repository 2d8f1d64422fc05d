"""Lists of a user's pictures with their metadata (swarm-t2i 7.2)."""

from __future__ import annotations

import json
import logging
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json, JsonObject
from swarm.base.paths import clean_output_path, is_hidden, open_itself, under
from swarm.media.embedded import MAX_TEXT_BYTES, read_metadata
from swarm.outputs.files import sidecar
from swarm.outputs.index import FileRow, stamp_of
from swarm.outputs.previews import Previews
from swarm.outputs.stars import STARRED, star_path
from swarm.outputs.store import OutputStore

logger = logging.getLogger(__name__)

_MAX_DEPTH = 32


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What to list. `path`: folder below the user's root, `""` for all. `sort_by`: `Name` or `Date` in any case.

    `max_files`: at most so many are returned. `max_scanned`: by date, at most so many are looked at.
    `flat_stars`: starred copies are named without their folders.
    """

    user_id: str
    path: str
    depth: int
    sort_by: str = "Name"
    reverse: bool = False
    max_files: int = 1000
    max_scanned: int = 10000
    flat_stars: bool = False


class History:
    """Answers lists from the index. Synchronous and thread-safe."""

    def __init__(self, store: OutputStore) -> None:
        self.previews = Previews(store.index.database)
        self._store = store
        self._index = store.index

    def list(self, wanted: Listing) -> JsonObject:
        """`{"folders": […], "files": [{"src", "metadata"}, …]}`. Raises BadInput for the path or the sort mode."""
        sort_by = wanted.sort_by.lower()
        if sort_by not in ("name", "date"):
            raise BadInput(f"Invalid sort mode '{wanted.sort_by}'.")
        cleaned = clean_output_path(wanted.path)
        root = under(self._store.user_root(wanted.user_id), cleaned)
        if is_hidden(cleaned) or not root.is_dir():
            return {"folders": [], "files": []}
        try:
            return self._list(wanted, root, by_date=sort_by == "date")
        except (OSError, sqlite3.Error) as error:
            logger.error("The files of %s could not be listed: %s", root, error)
            raise Refused("Error reading file list.") from None

    def _list(self, wanted: Listing, root: Path, *, by_date: bool) -> JsonObject:
        depth = min(max(wanted.depth, 0), _MAX_DEPTH)
        folders = self._index.refresh(root, depth, self._store.clock())
        stars = self._stars(wanted)
        # More is looked at than returned only where starred copies may make some fall out.
        limit = max(wanted.max_files, wanted.max_scanned) if by_date and stars.copies else wanted.max_files
        rows = self._index.files(root, depth=depth, by_date=by_date, ascending=wanted.reverse, limit=max(0, limit))
        listed = {row.path for row in rows}
        kept = [row for row in rows if not stars.is_doubled(row.path, listed)][: max(0, wanted.max_files)]
        start = len(root.as_posix()) + 1
        files: list[Json] = [
            {"src": row.path[start:], "metadata": starred(text) if stars.has(row.path) else text}
            for row, text in self._with_texts(kept)
        ]
        return {"folders": _folder_names(folders, start, wanted.reverse), "files": files}

    def _stars(self, wanted: Listing) -> _Stars:
        base = under(self._store.user_root(wanted.user_id), "")
        folder = base / STARRED
        self._index.refresh(folder, _MAX_DEPTH, self._store.clock())
        rows = self._index.files(folder, depth=_MAX_DEPTH, by_date=False, ascending=True, limit=-1)
        return _Stars(base.as_posix() + "/", {row.path for row in rows}, wanted.flat_stars)

    def _with_texts(self, rows: Sequence[FileRow]) -> Sequence[tuple[FileRow, str | None]]:
        """Each file that is really there and not empty, with its metadata text; what was not read yet is read now."""
        known = self._index.texts([row.path for row in rows])
        found: list[tuple[FileRow, str | None]] = []
        fresh: list[tuple[str, str, str | None]] = []
        for row in rows:
            stamp = stamp_of(row.path, has_sidecar=row.has_sidecar)
            if stamp is None:
                continue
            old_stamp, text = known.get(row.path, (None, None))
            if stamp != old_stamp:
                text = metadata_of(Path(row.path))
                fresh.append((row.path, stamp, text))
            found.append((row, text))
        if fresh:
            self._index.remember_texts(fresh)
        return found


@dataclass(frozen=True)
class _Stars:
    """Which of a user's files are starred. `base`: the user's root with a slash; `copies`: paths of starred copies."""

    base: str
    copies: set[str]
    flat: bool

    def has(self, path: str) -> bool:
        """Whether the file is a starred copy or has one."""
        return bool(self.copies) and (path in self.copies or self._copy_of(path) in self.copies)

    def is_doubled(self, path: str, listed: set[str]) -> bool:
        """Whether the file's starred copy is in the same list, where it stands for both."""
        return bool(self.copies) and path not in self.copies and self._copy_of(path) in listed

    def _copy_of(self, path: str) -> str:
        return self.base + star_path(path[len(self.base) :], flat=self.flat)


def metadata_of(path: Path) -> str | None:
    """The text in the sidecar beside a file, else the text in the file; None when there is none or it is unreadable."""
    try:
        beside = sidecar(path)
        if beside.is_file():
            with open_itself(beside) as file:
                return file.read(MAX_TEXT_BYTES).decode("utf-8", "replace")
        with open_itself(path) as file:
            return read_metadata(file)
    except (OSError, ValueError):
        return None


def starred(text: str | None) -> str:
    """The metadata of a starred picture: its JSON with `is_starred` at the root. Other text stays as it is."""
    if text is None:
        return '{ "is_starred": true }'
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(parsed, dict):
        return text
    return json.dumps({**parsed, "is_starred": True}, indent=2)


def _folder_names(folders: Sequence[tuple[int, str]], start: int, ascending: bool) -> Sequence[str]:
    """Relative names, descending; those of the deepest level after the others."""
    deepest = max((level for level, _ in folders), default=0)
    upper = sorted((path[start:] for level, path in folders if level < deepest), reverse=not ascending)
    lower = sorted((path[start:] for level, path in folders if level == deepest), reverse=not ascending)
    return upper + lower

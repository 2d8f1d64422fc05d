"""What is in the output folders, remembered in sqlite: names, times, metadata texts. Can be deleted and is rebuilt.

A folder's modification time tells whether names in it changed, so looking at 200 000 files again costs one stat per
folder. Files changed in place are noticed when they are about to be shown.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from swarm.base.database import Database
from swarm.outputs.files import METADATA_SUFFIX

_MIGRATIONS = (
    """
    CREATE TABLE output_folders (path TEXT PRIMARY KEY, parent TEXT NOT NULL, mtime_ns INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE output_files (
        path TEXT PRIMARY KEY, folder TEXT NOT NULL, level INTEGER NOT NULL, inode INTEGER NOT NULL,
        sidecar INTEGER NOT NULL, mtime_ns INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX output_files_by_folder ON output_files (folder, inode, sidecar);
    CREATE INDEX output_files_by_time ON output_files (mtime_ns, path, level, sidecar);
    CREATE TABLE output_texts (path TEXT PRIMARY KEY, stamp TEXT NOT NULL, text TEXT)
    """,
)

EXTENSIONS = frozenset(["png", "jpg", "html", "gif", "webp", "webm", "mp4", "mov", "mp3", "aac", "wav", "flac"])
"""What a history shows (exact, lower case)."""

_SETTLED_NS = 2_000_000_000
"""A folder changed this recently may change again without its time moving (clock ticks are coarse): look again."""


@dataclass(frozen=True)
class FileRow:
    """A listed file, and whether its metadata lies beside it."""

    path: str
    has_sidecar: bool


@dataclass(frozen=True)
class Known:
    """What was known about a folder's file: inode, and the inode of its metadata sidecar (0: none)."""

    inode: int
    sidecar: int


class HistoryIndex:
    """Thread-safe and synchronous. Paths are absolute with `/`, symlinks resolved by the caller."""

    def __init__(self, database: Database) -> None:
        self.database = database
        database.prepare("outputs", _MIGRATIONS)

    # Looking at folders

    def refresh(self, root: Path, depth: int, now: float) -> list[tuple[int, str]]:
        """Bring files of `root` and of its subfolders above level `depth` up to date.

        Returns (level, path) of the subfolders down to `depth`; with depth 0 none, and only `root`'s own files count.
        """
        known = self._known_folders(root.as_posix())
        found: list[tuple[int, str]] = []
        waiting = [root.as_posix()]
        for level in range(1, max(depth, 1) + 1):
            children = [child for path in waiting for child in self._refresh_folder(path, known, now)]
            if depth > 0:
                found += [(level, child) for child in children]
            waiting = children
            if not waiting:
                break
        return found

    def _known_folders(self, root: str) -> dict[str, tuple[int, list[str]]]:
        """Times and subfolders of `root` and everything below it, as last seen."""
        rows = self.database.read(
            "SELECT path, parent, mtime_ns FROM output_folders WHERE path = ? OR (path > ? AND path < ?)",
            (root, root + "/", root + "0"),
        )
        known: dict[str, tuple[int, list[str]]] = {path: (mtime, []) for path, _, mtime in rows}
        for path, parent, _ in rows:
            if parent in known and path != root:
                known[parent][1].append(path)
        return known

    def _refresh_folder(self, path: str, known: dict[str, tuple[int, list[str]]], now: float) -> list[str]:
        """The subfolders of `path`; its files are looked at again if its time moved."""
        try:
            mtime = Path(path).lstat().st_mtime_ns
        except OSError:
            if path in known:
                self.forget_folder(path)
            return []
        if path in known and known[path][0] == mtime:
            return known[path][1]
        return self._scan(path, mtime if now * 1e9 - mtime > _SETTLED_NS else 0, set(known.get(path, (0, []))[1]))

    def _scan(self, path: str, mtime: int, old_folders: set[str]) -> list[str]:
        # What is known is read before the folder is: a file saved in between is then in neither list, and stays.
        old = self._known_files(path)
        folders, files = _read_folder(path)
        changed = [name for name, facts in files.items() if old.get(name) != facts]
        rows = [_file_row(path, name, files[name]) for name in changed]
        with self.database.write_if_possible() as connection:
            connection.execute("INSERT OR REPLACE INTO output_folders VALUES (?, ?, ?)", (path, _parent(path), mtime))
            connection.executemany(
                "INSERT OR IGNORE INTO output_folders VALUES (?, ?, 0)", [(folder, path) for folder in folders]
            )
            connection.executemany(
                "INSERT OR REPLACE INTO output_files VALUES (?, ?, ?, ?, ?, ?)", [row for row in rows if row]
            )
            gone = [(f"{path}/{name}",) for name in old.keys() - files.keys()]
            connection.executemany("DELETE FROM output_files WHERE path = ?", gone)
            connection.executemany("DELETE FROM output_texts WHERE path = ?", gone)
        for folder in old_folders.difference(folders):
            self.forget_folder(folder)
        return folders

    def _known_files(self, folder: str) -> dict[str, Known]:
        rows = self.database.read("SELECT path, inode, sidecar FROM output_files WHERE folder = ?", (folder,))
        start = len(folder) + 1
        return {path[start:]: Known(inode, beside) for path, inode, beside in rows}

    def forget_folder(self, path: str) -> None:
        """Drop a folder that is gone, and all below it."""
        span = (path + "/", path + "0")
        with self.database.write_if_possible() as connection:
            connection.execute("DELETE FROM output_folders WHERE path = ? OR (path > ? AND path < ?)", (path, *span))
            connection.execute("DELETE FROM output_files WHERE path > ? AND path < ?", span)
            connection.execute("DELETE FROM output_texts WHERE path > ? AND path < ?", span)

    # Files

    def add(self, path: Path, text: str | None) -> None:
        """A file that was just written, with the metadata text that is in it or beside it."""
        if not is_listed(path.name):
            return
        name = path.as_posix()
        beside = _sidecar_path(name)
        inode = _inode(beside)
        row = _file_row(_parent(name), path.name, Known(path.stat().st_ino, inode))
        stamp = stamp_of(name, has_sidecar=inode != 0)
        if row is None or stamp is None:
            return
        with self.database.write() as connection:
            connection.execute("INSERT OR REPLACE INTO output_files VALUES (?, ?, ?, ?, ?, ?)", row)
            connection.execute("INSERT OR REPLACE INTO output_texts VALUES (?, ?, ?)", (name, stamp, text))

    def forget(self, path: Path) -> None:
        """A file that was deleted or moved away."""
        with self.database.write_if_possible() as connection:
            connection.execute("DELETE FROM output_files WHERE path = ?", (path.as_posix(),))
            connection.execute("DELETE FROM output_texts WHERE path = ?", (path.as_posix(),))

    def files(self, root: Path, *, depth: int, by_date: bool, ascending: bool, limit: int) -> list[FileRow]:
        """Files in `root` and its subfolders above level `depth`, sorted by relative name or by time."""
        base = root.as_posix()
        direction = "ASC" if ascending else "DESC"
        order = f"mtime_ns {direction}, path {direction}" if by_date else f"path {direction}"
        by_time = "INDEXED BY output_files_by_time" if by_date and self._is_large(base) else ""
        rows = self.database.read(
            f"SELECT path, sidecar FROM output_files {by_time} WHERE path > ? AND path < ? AND level <= ? "
            f"ORDER BY {order} LIMIT ?",
            (base + "/", base + "0", _level(base) + max(depth, 1), limit),
        )
        return [FileRow(path, bool(beside)) for path, beside in rows]

    def _is_large(self, base: str) -> bool:
        """Whether walking all files by time until enough lie below `base` beats sorting those below `base`."""
        sql = "SELECT 1 FROM output_files WHERE path > ? AND path < ? LIMIT 1 OFFSET 20000"
        return bool(self.database.read(sql, (base + "/", base + "0")))

    # Metadata texts

    def texts(self, paths: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """(stamp, text) of those of `paths` whose metadata was read before."""
        # One text for any number of paths: with a mark for each, the 128 statements kept as prepared took 10 MB.
        sql = "SELECT t.path, t.stamp, t.text FROM json_each(?) CROSS JOIN output_texts AS t ON t.path = value"
        rows = self.database.read(sql, (json.dumps(list(paths)),))
        return {path: (stamp, text) for path, stamp, text in rows}

    def forget_texts(self) -> None:
        """Forget the metadata of all files; it is read again when somebody asks."""
        with self.database.write() as connection:
            connection.execute("DELETE FROM output_texts")

    def remember_texts(self, rows: Iterable[tuple[str, str, str | None]]) -> None:
        """Keep (path, stamp, text) of files whose metadata has just been read."""
        with self.database.write_if_possible() as connection:
            connection.executemany("INSERT OR REPLACE INTO output_texts VALUES (?, ?, ?)", rows)


def stamp_of(path: str, *, has_sidecar: bool) -> str | None:
    """Changes when the file or its metadata sidecar changes. None: the file is missing, empty or no regular file."""
    try:
        facts = Path(path).lstat()
    except OSError:
        return None
    if facts.st_size == 0:
        return None
    beside = 0
    if has_sidecar:
        try:
            beside = Path(_sidecar_path(path)).stat().st_mtime_ns
        except OSError:
            beside = 0
    return f"{facts.st_mtime_ns}-{facts.st_size}-{beside}"


def _read_folder(path: str) -> tuple[list[str], dict[str, Known]]:
    """Subfolders (paths) and listable files (by name) of a folder. Hidden names and links are not seen."""
    folders: list[str] = []
    inodes: dict[str, int] = {}
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not _is_text(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/{entry.name}")
                elif entry.is_file(follow_symlinks=False):
                    inodes[entry.name] = entry.inode()
    except OSError:
        return [], {}
    listed = [name for name in inodes if is_listed(name)]
    return folders, {name: Known(inodes[name], inodes.get(_sidecar_path(name), 0)) for name in listed}


def _is_text(name: str) -> bool:
    """Whether the name can be written as JSON: names that are not UTF-8 come as lone surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def is_listed(name: str) -> bool:
    """Whether a file of this name is part of a history."""
    if name.endswith((".swarmpreview.jpg", ".swarmpreview.webp")):
        return False
    return name.rpartition(".")[2] in EXTENSIONS and "." in name


def _file_row(folder: str, name: str, known: Known) -> tuple[str, str, int, int, int, int] | None:
    path = f"{folder}/{name}"
    try:
        mtime = Path(path).lstat().st_mtime_ns
    except OSError:
        return None
    return path, folder, _level(folder) + 1, known.inode, known.sidecar, mtime


def _sidecar_path(path: str) -> str:
    return path.rpartition(".")[0] + METADATA_SUFFIX


def _inode(path: str) -> int:
    try:
        return Path(path).stat().st_ino
    except OSError:
        return 0


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


def _level(path: str) -> int:
    return path.count("/")

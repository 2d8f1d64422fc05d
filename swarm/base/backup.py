"""Copies of sqlite files while they are in use, whether a file is sound, and the way back to its last good copy.

Copies lie in one folder and are called `<file>.<stamp>`, for instance `swarm.db.20260131-180507`. Blocking.
"""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path

from swarm.base.atomic import copy_whole, make_folder, place_whole

KEPT = 3
_log = logging.getLogger(__name__)


def stamp_of(now: datetime) -> str:
    """A moment as part of a file's name."""
    return now.strftime("%Y%m%d-%H%M%S")


def copy_database(source: Path, target: Path) -> None:
    """A consistent copy of a sqlite file that others may be writing to; whole or not at all. Raises OSError."""
    if not source.exists():  # sqlite would make an empty one, and that would pass for the newest copy
        raise FileNotFoundError(f"{source.name} cannot be copied: it is not there.")
    make_folder(target.parent)
    try:
        with place_whole(target) as unfinished, closing(sqlite3.connect(source, timeout=30)) as reading:
            with closing(sqlite3.connect(unfinished)) as writing:
                reading.backup(writing, pages=2048, sleep=0.001)
                writing.execute("PRAGMA journal_mode=DELETE")
            problem = fault_in(unfinished)
            if problem is not None:
                raise OSError(f"The copy of {source.name} is not sound: {problem}")
    except sqlite3.Error as error:
        raise OSError(f"{source.name} cannot be copied: {error}") from error


def fault_in(path: Path) -> str | None:
    """What is wrong with a sqlite file; None for a sound one, and for none at all."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(path, timeout=30)) as connection:
            found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return None
        return str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else str(found)


def copies_of(name: str, folder: Path) -> list[Path]:
    """The copies of a file, newest first."""
    return sorted(folder.glob(f"{name}.*-*"), reverse=True) if folder.is_dir() else []


def is_copy_due(name: str, folder: Path, since: float) -> bool:
    """Whether no copy of a file is younger than `since` (unix seconds)."""
    return all(copy.stat().st_mtime < since for copy in copies_of(name, folder)[:1])


def keep_copy(path: Path, folder: Path, now: datetime, *, kept: int = KEPT) -> Path:
    """Add a copy of a sqlite file to the folder, and remove the oldest beyond `kept`. Raises OSError."""
    target = folder / f"{path.name}.{stamp_of(now)}"
    copy_database(path, target)
    for old in copies_of(path.name, folder)[kept:]:
        old.unlink(missing_ok=True)
    return target


def mend(path: Path, folder: Path, now: datetime) -> str | None:
    """Look whether a sqlite file is sound. One that is not is set aside, and its newest sound copy takes its place;
    so it does when the file is gone and there is a copy.

    The sentence that says what happened; None when nothing had to. Raises OSError.
    """
    if not path.exists():
        return _replace_lost(path, folder, now)
    fault = fault_in(path)
    if fault is None:
        return None
    aside = path.with_name(f"{path.name}.corrupt.{stamp_of(now)}")
    path.replace(aside)
    _set_logs_aside(path, aside)
    _log.error("%s is damaged (%s). It is kept as %s.", path.name, fault, aside.name)
    copy = _restored(path, folder)
    if copy is not None:
        return f"{path.name} was damaged. The server goes on with its copy of {_date(copy)}; see {aside.name}."
    return f"{path.name} was damaged and there was no copy of it, so it begins anew; see {aside.name}."


def _replace_lost(path: Path, folder: Path, now: datetime) -> str | None:
    """A log without its file is of no use, and would spoil the copy."""
    _set_logs_aside(path, path.with_name(f"{path.name}.corrupt.{stamp_of(now)}"))
    copy = _restored(path, folder)
    if copy is None:
        return None
    _log.error("%s is gone. Its copy of %s takes its place.", path.name, _date(copy))
    return f"{path.name} was gone. The server goes on with its copy of {_date(copy)}."


def _set_logs_aside(path: Path, aside: Path) -> None:
    for ending in ("-wal", "-shm"):
        side = path.with_name(path.name + ending)
        if side.exists():
            side.replace(aside.with_name(aside.name + ending))


def _restored(path: Path, folder: Path) -> Path | None:
    """The newest sound copy, which is now at `path`; None when there is none."""
    for copy in copies_of(path.name, folder):
        if fault_in(copy) is None:
            copy_whole(copy, path)
            return copy
    return None


def _date(copy: Path) -> str:
    try:
        return datetime.strptime(copy.name.rpartition(".")[2], "%Y%m%d-%H%M%S").strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return "an unknown day"

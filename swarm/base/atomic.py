"""Files written whole or not at all: under another name beside the final one, on disk, then renamed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from swarm.base.ids import new_job_id

_PREFIX = ".swarm-"
_SUFFIX = ".tmp"
_RUN = new_job_id()[:8]
_numbers = count()


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`: it appears complete and lasting, or not at all. Raises OSError."""
    unfinished = _unfinished(path)
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


@contextmanager
def place_whole(path: Path) -> Iterator[Path]:
    """A name beside `path` to write a file to; at the end of the block it takes its place, complete and lasting.

    An error in the block removes it. Raises OSError.
    """
    unfinished = _unfinished(path)
    try:
        yield unfinished
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def copy_whole(source: Path, path: Path) -> None:
    """Copy a file with its times: the copy appears complete and lasting, or not at all. Raises OSError."""
    unfinished = _unfinished(path)
    try:
        shutil.copy2(source, unfinished)
        with unfinished.open("rb") as file:
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _unfinished(path: Path) -> Path:
    """A name beside `path` that no list shows and the next start sweeps away."""
    return path.with_name(f"{_PREFIX}{_RUN}-{next(_numbers)}{_SUFFIX}")


def is_leftover(name: str) -> bool:
    """Whether a file of this name was being written by a process that is gone."""
    return name.startswith(_PREFIX) and name.endswith(_SUFFIX) and not name.startswith(f"{_PREFIX}{_RUN}-")


def leftovers(root: Path) -> Iterator[Path]:
    """Every unfinished file of earlier runs below `root`."""
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names if is_leftover(name))


def sweep(root: Path) -> int:
    """Remove every unfinished file of earlier runs below `root`; how many there were. For the start."""
    found = list(leftovers(root))
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def make_folder(path: Path) -> None:
    """Create `path` and its parents, lasting. Raises OSError."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        sync_folder(folder.parent)


def sync_folder(path: Path) -> None:
    """Make the folder's list of names lasting, where the system can."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

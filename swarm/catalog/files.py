"""Files of the catalog written whole or not at all, and small ones read with a limit."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

_numbers = count()


def write_whole(path: Path, data: bytes) -> None:
    """Write `data` to `path`, making its folder: it appears complete, or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{os.getpid()}-{next(_numbers)}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise


def remove_empty_folders(folder: Path, top: Path) -> None:
    """Remove `folder` and those above it while they are empty; never `top` or what is not below it."""
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent

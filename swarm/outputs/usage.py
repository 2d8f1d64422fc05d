"""How much room the files of an output folder take: measured now and then, counted in between."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from swarm.base.clock import Clock

_GOOD_FOR_SECONDS = 600.0
_FULL_FOR_SECONDS = 5.0
_BLOCK = 4096


@dataclass
class _Measured:
    size: int
    at: float


class DiskUse:
    """Bytes by folder. Synchronous and thread-safe; measuring walks the whole folder."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._folders: dict[Path, _Measured] = {}
        self._lock = threading.Lock()

    def has_room(self, root: Path, wanted: int, limit: int) -> bool:
        """Whether `wanted` more bytes fit below `limit`. What looks full is measured again: files may be gone."""
        if self._of(root, _GOOD_FOR_SECONDS) + wanted <= limit:
            return True
        return self._of(root, _FULL_FOR_SECONDS) + wanted <= limit

    def add(self, root: Path, size: int) -> None:
        """Files were written below `root`; a negative `size`: were deleted."""
        with self._lock:
            if root in self._folders:
                self._folders[root].size += size

    def _of(self, root: Path, seconds: float) -> int:
        with self._lock:
            known, now = self._folders.get(root), self._clock()
            if known is not None and 0 <= now - known.at < seconds:
                return known.size
        size = _measured(root)
        with self._lock:
            self._folders[root] = _Measured(size, now)
        return size


def _measured(root: Path) -> int:
    """Bytes of all files below a folder, whole blocks of each; links are not followed."""
    total, waiting = 0, [str(root)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += blocks(entry.stat(follow_symlinks=False).st_size)
        except OSError:  # it went away meanwhile, or never was
            continue
    return total


def blocks(size: int) -> int:
    """What a file of this size takes on a disk: many tiny ones are no way around a limit."""
    return -(-size // _BLOCK) * _BLOCK

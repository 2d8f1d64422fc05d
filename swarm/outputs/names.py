"""Which names the output folders hold: each is listed once, and then kept up to date by what is saved."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

MOST_NAMES = 100_000
"""About 13 MB. Folders that were not used for longest are listed again when they are."""

MOST_FOLDERS = 256


class FolderNames:
    """Names without their last extension, in small letters, of the folders used last. Thread-safe."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._folders: OrderedDict[Path, set[str]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, folder: Path) -> set[str]:
        """What is in use in `folder`, as far as this program knows. Who gives a name out adds it."""
        with self._lock:
            known = self._folders.get(folder)
        listed = _stems(folder) if known is None else known
        with self._lock:
            names = self._folders.setdefault(folder, listed)
            self._folders.move_to_end(folder)
            while len(self._folders) > 1 and (len(self._folders) > MOST_FOLDERS or self.count() > self._most):
                self._folders.popitem(last=False)
        return names

    def count(self) -> int:
        """How many names are remembered."""
        return sum(len(names) for names in self._folders.values())


def _stems(folder: Path) -> set[str]:
    """Names in use, without their last extension: `a.jpg` is taken when `a.png` is there. Case does not tell apart."""
    try:
        return {entry.stem.casefold() for entry in folder.iterdir()}
    except FileNotFoundError:
        return set()

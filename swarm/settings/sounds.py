"""Sounds that the page can play: the audio files in the folder `Audio` of the data (swarm-core 8.6). Blocking."""

from __future__ import annotations

import os
from pathlib import Path

from swarm.base.paths import is_hidden

_ENDINGS = (".mp3", ".wav", ".wave", ".aac", ".flac", ".ogg")
_MOST = 500


class Sounds:
    """The folder's files. It need not be there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """Every sound, by its path below the folder."""
        found = []
        for place, _, files in os.walk(self.folder):
            found += [(Path(place) / name).relative_to(self.folder).as_posix() for name in files]
        return sorted(name for name in found if name.lower().endswith(_ENDINGS) and not is_hidden(name))[:_MOST]

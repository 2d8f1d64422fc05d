"""Deleted model and wildcard files: moved aside together, with a note of where they came from.

Each deletion is one folder of the trash: the files, and `origin.json` with the path each had. Nothing leaves the trash
unless somebody asks for it.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from swarm.base.atomic import make_folder, write_whole
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import dumps, loads

logger = logging.getLogger(__name__)
_NOTE = "origin.json"
_FILES = "files"
_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]{1,6}")


@dataclass(frozen=True, kw_only=True)
class Trashed:
    """One deletion. `time`: unix seconds. `origins`: where the files were; the model itself first."""

    id: str
    time: int
    origins: tuple[Path, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """File names, without their folders."""
        return tuple(origin.name for origin in self.origins)

    def is_below(self, folders: Sequence[Path]) -> bool:
        """Whether all of it came from these folders."""
        return bool(self.origins) and all(
            any(origin.is_relative_to(folder) for folder in folders) for origin in self.origins
        )


class Trash:
    """Blocking. `folder`: made when first needed. `clock`: unix seconds."""

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._folder = folder
        self._clock = clock

    def put(self, paths: Sequence[Path]) -> str:
        """Move files or folders in; the id to restore them by. All of them, or none. Raises OSError."""
        place = self._new_place()
        moved: list[tuple[Path, Path]] = []
        try:
            (place / _FILES).mkdir()
            origins = {str(number): str(path) for number, path in enumerate(paths)}
            make_folder(place)
            write_whole(place / _NOTE, dumps({"files": origins}))
            for number, path in enumerate(paths):
                shutil.move(path, place / _FILES / str(number))
                moved.append((place / _FILES / str(number), path))
        except OSError:
            for here, origin in reversed(moved):
                with suppress(OSError):
                    shutil.move(here, origin)
            with suppress(OSError):
                (place / _NOTE).unlink(missing_ok=True)
                (place / _FILES).rmdir()
                place.rmdir()
            raise
        logger.info("Moved %s to the trash as %s.", ", ".join(str(path) for path in paths), place.name)
        return place.name

    def ids(self) -> list[str]:
        """What can be restored, oldest first."""
        if not self._folder.is_dir():
            return []
        return sorted(each.name for each in self._folder.iterdir() if (each / _NOTE).is_file())

    def listed(self, below: Sequence[Path]) -> list[Trashed]:
        """What was deleted from these folders and can be restored, the latest first."""
        found = (self._trashed(id) for id in reversed(self.ids()))
        return [one for one in found if one is not None and one.is_below(below)]

    def _trashed(self, id: str) -> Trashed | None:
        """None when its note cannot be read."""
        try:
            note: Any = loads((self._folder / id / _NOTE).read_bytes())
            origins = tuple(Path(origin) for origin in note["files"].values())
            moment = datetime.strptime(id[:15], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
        except (OSError, BadInput, KeyError, TypeError, AttributeError, ValueError) as error:
            logger.warning("The note of %s in the trash cannot be read: %s", id, error)
            return None
        return Trashed(id=id, time=int(moment.timestamp()), origins=origins)

    def restore(self, id: str) -> list[Path]:
        """Move everything back to where it was. Raises NotFound, BadInput when something else is there now, OSError."""
        place = self._folder / id
        if _ID.fullmatch(id) is None or not (place / _NOTE).is_file():
            raise NotFound("There is nothing like that in the trash.")
        note: Any = loads((place / _NOTE).read_bytes())
        origins = {place / _FILES / number: Path(origin) for number, origin in note["files"].items()}
        taken = [origin for origin in origins.values() if os.path.lexists(origin)]
        if taken:
            raise BadInput(f"There is another file called '{taken[0].name}' now; it cannot be restored over it.")
        for here, origin in origins.items():
            origin.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(here, origin)
        shutil.rmtree(place)
        return list(origins.values())

    def remove(self, id: str) -> None:
        """Delete for good. The note goes first: what is half deleted is not offered again. Raises NotFound, OSError."""
        place = self._folder / id
        if _ID.fullmatch(id) is None or not (place / _NOTE).is_file():
            raise NotFound("There is nothing like that in the trash.")
        (place / _NOTE).unlink()
        shutil.rmtree(place)
        logger.info("Deleted %s for good.", id)

    def _new_place(self) -> Path:
        moment = datetime.fromtimestamp(self._clock(), UTC).strftime("%Y%m%d-%H%M%S")
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(1_000_000):
            place = self._folder / f"{moment}-{number}"
            with suppress(FileExistsError):
                place.mkdir()
                return place
        raise OSError("The trash is full.")

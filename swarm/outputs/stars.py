"""Starring: a copy of the picture, with all that belongs to it, in the folder `Starred` (swarm-t2i 7.3)."""

from __future__ import annotations

import logging
from pathlib import Path

from swarm.base.atomic import copy_whole, make_folder
from swarm.base.errors import NotFound, Refused
from swarm.base.paths import clean_output_path, is_hidden, under
from swarm.outputs.files import SIDECAR_SUFFIXES, sidecar
from swarm.outputs.store import OutputStore

logger = logging.getLogger(__name__)

STARRED = "Starred"


def star_path(path: str, *, flat: bool) -> str:
    """Where the starred copy of `path` lies. `flat`: in one folder, the slashes of the original dropped."""
    return f"{STARRED}/{path.replace('/', '') if flat else path}"


class Stars:
    """Synchronous and thread-safe."""

    def __init__(self, store: OutputStore) -> None:
        self._store = store

    def toggle(self, user_id: str, path: str, *, flat: bool = False) -> bool:
        """Star or unstar; the new state. `path`: of the original or of the copy. Raises UserError."""
        cleaned = clean_output_path(path)
        original = cleaned.removeprefix(f"{STARRED}/")
        root = self._store.user_root(user_id)
        source, copy = under(root, original), under(root, star_path(original, flat=flat))
        if is_hidden(cleaned) or not original:
            raise NotFound("That file does not exist, cannot star.")
        try:
            return self._toggle(user_id, source, copy, was_copy=original != cleaned)
        except OSError as error:
            logger.error("A picture could not be starred below %s: %s", root, error)
            raise Refused("Server failed to save an image.") from None

    def _toggle(self, user_id: str, source: Path, copy: Path, *, was_copy: bool) -> bool:
        if not source.is_file():
            if not (was_copy and copy.is_file()):
                raise NotFound("That file does not exist, cannot star.")
            make_folder(source.parent)
            for part, target in _pairs(copy, source):
                part.replace(target)
            return False
        if copy.is_file():
            for part, _ in _pairs(copy, copy):
                part.unlink(missing_ok=True)
            return False
        self._store.refuse_beyond(user_id, sum(part.stat().st_size for part, _ in _pairs(source, copy)))
        make_folder(copy.parent)
        for part, target in _pairs(source, copy):
            copy_whole(part, target)
        return True


def _pairs(path: Path, target: Path) -> list[tuple[Path, Path]]:
    """The sidecars of `path` that exist, then the file itself, each with its name beside `target`."""
    sidecars = [(sidecar(path, suffix), sidecar(target, suffix)) for suffix in SIDECAR_SUFFIXES]
    return [pair for pair in sidecars if pair[0].is_file()] + [(path, target)]

"""Wildcard lists: `.txt` files below one folder, a line for each option (swarm-t2i 8.2).

A name becomes a path only by being found here, or by being cleaned strictly and checked to lie below the folder.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from swarm.base.atomic import make_folder, write_whole
from swarm.base.errors import BadInput, NotFound
from swarm.base.paths import clean_file_name, under
from swarm.catalog.files import remove_empty_folders
from swarm.catalog.trash import Trash, Trashed
from swarm.media.formats import thumbnail
from swarm.media.image import Picture
from swarm.params.matching import best_match

logger = logging.getLogger(__name__)

SUBTYPE = "Wildcards"
MAX_FILE = 16 * 1024 * 1024
MAX_LISTS = 50_000


@dataclass(frozen=True)
class Wildcard:
    """One list. Its text is read when first asked for, and read again after a refresh."""

    name: str
    path: Path
    mtime_ns: int = 0
    created_ns: int = 0
    has_preview: bool = False

    @cached_property
    def raw(self) -> str:
        """The file's text with plain line ends; empty, and a line in the log, when it cannot be read."""
        try:
            with self.path.open("rb") as file:
                data = file.read(MAX_FILE + 1)
        except OSError as error:
            logger.warning("The wildcard file %s cannot be read: %s", self.path, error)
            return ""
        if len(data) > MAX_FILE:
            logger.warning("The wildcard file %s is longer than %d bytes; it is cut.", self.path, MAX_FILE)
        text = data[:MAX_FILE].decode("utf-8", "replace")
        return text.replace("\r\n", "\n").replace("\r", "").replace("\ufeff", "")

    @cached_property
    def options(self) -> tuple[str, ...]:
        """The lines without comments and blanks; a written `\\n` is a line break within an option."""
        lines = (line.partition("#")[0].strip().replace("\\n", "\n") for line in self.raw.split("\n"))
        return tuple(line for line in lines if line)

    @property
    def title(self) -> str:
        return self.name

    @property
    def preview_path(self) -> Path:
        return self.path.with_name(self.path.name.removesuffix(".txt") + ".jpg")


class WildcardStore:
    """Every list below a folder. Implements `prompt.tag.Wildcards`; blocking on the disk, thread-safe.

    `edit_id` rises with every edit, for clients to know when previews are stale.
    """

    def __init__(self, folder: Path, trash: Trash) -> None:
        self._folder = folder
        self._trash = trash
        self._editing = threading.Lock()
        self._lists: Mapping[str, Wildcard] = MappingProxyType({})
        self.edit_id = 0

    def refresh(self) -> None:
        """Look at the folder again, which is made if absent."""
        with self._editing:
            self._read()

    def names(self) -> list[str]:
        """Sorted, without `.txt`."""
        return [one.name for one in self._lists.values()]

    def entries(self) -> list[Wildcard]:
        return list(self._lists.values())

    def get(self, name: str) -> Wildcard | None:
        """The list of this name in any case."""
        return self._lists.get(name.lower())

    def find(self, name: str) -> tuple[str, Sequence[str]] | None:
        """As a prompt names it: the nearest name that contains `name` will do."""
        own = best_match(name, self.names()) if name else None
        found = self.get(own) if own is not None else None
        return (found.name, found.options) if found is not None else None

    def preview(self, wildcard: Wildcard) -> Picture | None:
        """The picture beside a list."""
        if not wildcard.has_preview:
            return None
        try:
            relative = wildcard.preview_path.relative_to(self._folder).as_posix()
            return Picture(data=under(self._folder, relative).read_bytes(), mime="image/jpeg")
        except (OSError, BadInput) as error:
            logger.warning("The picture of the wildcard %s cannot be read: %s", wildcard.name, error)
            return None

    def edit(self, card: str, text: str, *, picture: bytes | None = None, clear: bool = False, note: str = "") -> None:
        """Write a list. `picture`: a new preview, made small, with `note` as its metadata; `clear`: drop the old one.

        Raises BadInput for a name that cannot be a file's, a picture that cannot be read, or a file that cannot be
        written.
        """
        data = text.encode("utf-8", "replace")
        if len(data) > MAX_FILE:
            raise BadInput(f"A wildcard list has at most {MAX_FILE // 1024**2} MiB.")
        small = thumbnail(picture, metadata=note or None) if picture is not None else None
        with self._editing:
            path = self._path(card)
            preview = path.with_name(path.name.removesuffix(".txt") + ".jpg")
            try:
                make_folder(path.parent)
                write_whole(path, data)
                if small is not None:
                    write_whole(preview, small)
                elif clear:
                    preview.unlink(missing_ok=True)
            except OSError as error:
                logger.warning("The wildcard file %s cannot be written: %s", path, error)
                raise BadInput(f"The wildcard list cannot be written: {error.strerror or error}.") from None
            self.edit_id += 1
            self._read()

    def delete(self, name: str) -> None:
        """Move a list and its picture to the trash. Raises NotFound, BadInput when it cannot be moved."""
        with self._editing:
            wildcard = self.get(name)
            if wildcard is None:
                raise NotFound("Model not found.")
            try:
                self._trash.put([path for path in (wildcard.path, wildcard.preview_path) if os.path.lexists(path)])
            except OSError as error:
                raise BadInput(f"The wildcard list cannot be deleted: {error.strerror or error}.") from None
            remove_empty_folders(wildcard.path.parent, self._folder)
            self.edit_id += 1
            self._read()

    def deleted(self) -> list[Trashed]:
        """Deleted lists that can be restored, the latest first."""
        return self._trash.listed([self._folder])

    def restore(self, id: str) -> None:
        """Put a deleted list back where it was. Raises NotFound, BadInput when its place is taken."""
        with self._editing:
            if id not in {one.id for one in self.deleted()}:
                raise NotFound("There is nothing like that in the trash.")
            try:
                self._trash.restore(id)
            except OSError as error:
                raise BadInput(f"The wildcard list cannot be restored: {error.strerror or error}.") from None
            self.edit_id += 1
            self._read()

    def remove(self, id: str) -> None:
        """Delete a deleted list for good. Raises NotFound, BadInput when the disk refuses."""
        with self._editing:
            if id not in {one.id for one in self.deleted()}:
                raise NotFound("There is nothing like that in the trash.")
            try:
                self._trash.remove(id)
            except OSError as error:
                raise BadInput(f"The wildcard list cannot be deleted: {error.strerror or error}.") from None

    def _path(self, card: str) -> Path:
        """Where a list is written: over the one that has the name in any case, else a new file."""
        name = clean_file_name(card)
        if not name:
            raise BadInput("Invalid empty name.")
        known = self.get(name)
        return under(self._folder, f"{known.name if known is not None else name}.txt")

    def _read(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            logger.warning("The wildcard folder %s cannot be made: %s", self._folder, error)
        found = {one.name.lower(): one for one in sorted(self._walk(), key=lambda one: one.name, reverse=True)}
        self._lists = MappingProxyType({key: found[key] for key in sorted(found)})

    def _walk(self) -> Iterator[Wildcard]:
        """Hidden files are not lists, nor links that lead out of the folder, nor names that no client could spell."""
        count = 0
        for folder, folders, files in os.walk(self._folder):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for file in sorted(files):
                if not file.endswith(".txt") or file.startswith(".") or re.search("[\ud800-\udfff]", folder + file):
                    continue
                wildcard = self._wildcard(Path(folder) / file, beside=frozenset(files))
                if wildcard is not None:
                    yield wildcard
                    count += 1
                if count >= MAX_LISTS:
                    logger.warning("There are more than %d wildcard files; the rest is left out.", MAX_LISTS)
                    return

    def _wildcard(self, path: Path, *, beside: frozenset[str]) -> Wildcard | None:
        relative = path.relative_to(self._folder).as_posix()
        try:
            stat = under(self._folder, relative).stat()
        except (BadInput, OSError):
            return None
        return Wildcard(
            name=relative.removesuffix(".txt"),
            path=path,
            mtime_ns=stat.st_mtime_ns,
            created_ns=stat.st_ctime_ns,
            has_preview=path.name.removesuffix(".txt") + ".jpg" in beside,
        )

"""Changes to model files: what is said about them (in a sidecar), their names, and deleting them (swarm-models-backends
1.5, 1.7).

Edits are always written to `<model>.swarm.json`; the model file itself is never rewritten, so an interrupted edit
cannot damage a checkpoint, and its hash and the copies held in memory stay good.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from swarm.architectures.detect import find_class
from swarm.base.atomic import write_whole
from swarm.base.errors import BadInput, NotFound
from swarm.base.json import Json, JsonObject, dumps
from swarm.base.paths import clean_file_name, under
from swarm.catalog.catalog import Catalog
from swarm.catalog.files import remove_empty_folders
from swarm.catalog.headers import read_file_header
from swarm.catalog.model import ModelEntry
from swarm.catalog.scan import PREVIEWS, SIDECARS
from swarm.catalog.sets import LEGACY, NATIVE, extension, stem
from swarm.catalog.trash import Trash, Trashed
from swarm.catalog.wire import PLACEHOLDER

logger = logging.getLogger(__name__)
_MAX_SIDECAR = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class ModelEdit:
    """What is to be said about a model. Blank texts say nothing.

    `type`: a class id; blank leaves the class, an unknown one clears it. `preview`: a `data:` URL, empty to drop the
    picture, None to leave it. `width`, `height`: 0 or less leave the size.
    """

    title: str = ""
    author: str = ""
    type: str = ""
    description: str = ""
    width: int = 0
    height: int = 0
    usage_hint: str = ""
    date: str = ""
    license: str = ""
    trigger_phrase: str = ""
    prediction_type: str = ""
    tags: tuple[str, ...] = ()
    preview: str | None = None
    is_negative_embedding: bool = False
    lora_default_weight: str = ""
    lora_default_confinement: str = ""


REMOTE = "This model is on another machine; it can be changed there."


class ModelEditor:
    """Blocking; one change at a time. `edit_id` rises with every change: clients then fetch previews anew."""

    def __init__(self, catalog: Catalog, trash: Trash) -> None:
        self._catalog = catalog
        self._trash = trash
        self._changing = threading.Lock()
        self.edit_id = 0

    def edit(self, subtype: str, name: str, change: ModelEdit) -> None:
        """Write the sidecar. `name`: with its extension. Raises NotFound, BadInput when it cannot be written."""
        with self._changing:
            entry = self._exact(subtype, name)
            if entry.is_folder:
                raise BadInput("This model is a folder of several files, which has no place for metadata.")
            path = Path(stem(str(entry.path)) + ".swarm.json")
            fields = {**_read_object(path), **self._fields(entry, change)}
            try:
                if change.preview == "" and (pictures := [here for here in _beside(entry) if here.is_file()]):
                    self._trash.put(pictures)
                write_whole(path, dumps(fields))
            except OSError as error:
                raise BadInput(f"The metadata cannot be written: {error.strerror or error}.") from None
            self._changed()

    def rename(self, subtype: str, old_name: str, new_name: str) -> None:
        """Move a model and what belongs to it within its set folder. Raises NotFound, BadInput."""
        with self._changing:
            entry = self._found(subtype, old_name)
            name = _new_name(new_name)
            if not name:
                raise BadInput("Model new name is not valid.")
            ending = "" if entry.is_folder else f".{extension(entry.name)}"
            target = under(entry.found_in, name + ending)
            if self._is_taken(entry, name + ending, target):
                raise BadInput("Model new name is already taken by an existing model.")
            base = str(target).removesuffix(ending)
            attached = {path: Path(base + suffix) for suffix, path in _attached(entry).items()}
            _move({entry.path: target, **attached})
            remove_empty_folders(entry.path.parent, entry.found_in)
            self._changed()

    def delete(self, subtype: str, name: str) -> str:
        """Move a model and what belongs to it to the trash; the id to restore it by. Raises NotFound, BadInput."""
        with self._changing:
            entry = self._found(subtype, name)
            try:
                id = self._trash.put([entry.path, *_attached(entry).values()])
            except OSError as error:
                raise BadInput(f"The model cannot be deleted: {error.strerror or error}.") from None
            remove_empty_folders(entry.path.parent, entry.found_in)
            self._changed()
            return id

    def deleted(self) -> list[Trashed]:
        """Deleted models that can be restored, the latest first."""
        return self._trash.listed(self._catalog.roots)

    def restore(self, id: str) -> None:
        """Put a deleted model back where it was. Raises NotFound, BadInput when its place is taken."""
        with self._changing:
            if id not in {one.id for one in self.deleted()}:
                raise NotFound("There is nothing like that in the trash.")
            try:
                self._trash.restore(id)
            except OSError as error:
                raise BadInput(f"The model cannot be restored: {error.strerror or error}.") from None
            self._changed()

    def remove(self, id: str) -> None:
        """Delete a deleted model for good. Raises NotFound, BadInput when the disk refuses."""
        with self._changing:
            if id not in {one.id for one in self.deleted()}:
                raise NotFound("There is nothing like that in the trash.")
            try:
                self._trash.remove(id)
            except OSError as error:
                raise BadInput(f"The model cannot be deleted: {error.strerror or error}.") from None

    def headers(self, subtype: str, name: str) -> JsonObject:
        """The header as JSON, `__metadata__` included. `name`: with its extension. Raises NotFound, BadInput."""
        entry = self._exact(subtype, name)
        if entry.problem is not None:
            raise BadInput(entry.problem)
        try:
            return _header(entry)
        except OSError as error:
            raise BadInput(f"The model file '{entry.name}' cannot be read: {error.strerror or error}.") from None

    def _found(self, subtype: str, name: str) -> ModelEntry:
        entry = self._catalog.find(subtype, name)
        if entry is None:
            raise NotFound("Model not found.")
        if entry.is_remote:
            raise BadInput(REMOTE)
        return entry

    def _exact(self, subtype: str, name: str) -> ModelEntry:
        entry = self._found(subtype, name)
        if entry.name != name:
            raise NotFound("Model not found.")
        return entry

    def _is_taken(self, entry: ModelEntry, name: str, target: Path) -> bool:
        """In any case of letters, so that the folder can be moved to a disk that ignores it; itself apart."""
        others = {other.lower() for other in self._catalog.names(entry.subtype)} - {entry.name.lower()}
        is_itself = target.exists() and target.samefile(entry.path) and name != entry.name
        return name.lower() in others or (os.path.lexists(target) and not is_itself)

    def _changed(self) -> None:
        self.edit_id += 1
        self._catalog.refresh()

    def _fields(self, entry: ModelEntry, change: ModelEdit) -> dict[str, Json]:
        """The sidecar's keys. A null hides what the file's own header says."""
        info = entry.info
        width, height = (change.width, change.height) if change.width > 0 and change.height > 0 else _size(entry)
        said: dict[str, Json] = {
            "title": change.title or None,
            "author": change.author,
            "description": change.description,
            "architecture": self._architecture(entry, change.type),
            "license": change.license,
            "date": change.date,
            "prediction_type": change.prediction_type or None,
            "usage_hint": change.usage_hint,
            "trigger_phrase": change.trigger_phrase,
            "merged_from": info.merged_from,
            "tags": list(change.tags) or None,
            "resolution": f"{width}x{height}" if width and height else None,
            "is_negative_embedding": "true" if change.is_negative_embedding else "false",
            "lora_default_weight": change.lora_default_weight,
            "lora_default_confinement": change.lora_default_confinement,
        }
        if change.preview is not None:
            said |= {"preview_image": change.preview or PLACEHOLDER, "thumbnail": None}
        return {f"modelspec.{key}": value for key, value in said.items()}

    def _architecture(self, entry: ModelEntry, type: str) -> str | None:
        if not type.strip():
            return entry.architecture.id if entry.architecture is not None else None
        found = find_class(type.strip(), self._catalog.architectures)
        return found.id if found is not None else None


def _size(entry: ModelEntry) -> tuple[int, int]:
    return entry.width, entry.height


def _new_name(text: str) -> str:
    """Cleaned, without a model file's extension; empty when nothing is left."""
    text = text.replace("\\", "/").strip()
    if extension(text).lower() in NATIVE + LEGACY:
        text = stem(text)
    return clean_file_name(text).strip("/").replace(" ", "_")


def _attached(entry: ModelEntry) -> dict[str, Path]:
    """Sidecars and previews by suffix. None when another model of the same base name lies beside: they may be its."""
    if entry.is_folder:
        return {}
    base = stem(str(entry.path))
    rivals = [Path(f"{base}.{ending}") for ending in NATIVE + LEGACY]
    if any(rival != entry.path and rival.is_file() for rival in rivals):
        return {}
    return {suffix: Path(base + suffix) for suffix in (*SIDECARS, *PREVIEWS) if os.path.lexists(base + suffix)}


def _beside(entry: ModelEntry) -> list[Path]:
    """The preview files that belong to a model."""
    return [path for suffix, path in _attached(entry).items() if suffix in PREVIEWS]


def _move(pairs: Mapping[Path, Path]) -> None:
    """All of them, or none. Raises BadInput with the sentence of a disk that will not."""
    moved: list[tuple[Path, Path]] = []
    try:
        for source, target in pairs.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.rename(target)
            moved.append((source, target))
    except OSError as error:
        for source, target in reversed(moved):
            target.rename(source)
        raise BadInput(f"The model cannot be renamed: {error.strerror or error}.") from None


def _read_object(path: Path) -> Mapping[str, Any]:
    """The sidecar so far, so that what other programs keep there stays; empty when there is none that can be read."""
    try:
        if path.stat().st_size > _MAX_SIDECAR:
            return {}
        content = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return content if isinstance(content, dict) else {}


def _header(entry: ModelEntry) -> JsonObject:
    read = read_file_header(entry.path, entry.name)
    if read.data_offset is not None:
        with entry.path.open("rb") as file:
            file.seek(8)
            root: JsonObject = orjson.loads(file.read(read.data_offset - 8))
            return root
    tensors: dict[str, Json] = {
        name: {"dtype": info.dtype, "shape": list(info.shape)} for name, info in read.header.tensors.items()
    }
    return {"__metadata__": dict(read.header.metadata), "tensor_count": len(tensors), **tensors}

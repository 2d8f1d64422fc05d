"""Model headers from disk, every length checked against the file. Never touches weights, never unpickles anything.

Formats: safetensors (8-byte length, JSON, data), GGUF (catalog/gguf.py), and diffusers folders (model_index.json).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import orjson

from swarm.architectures.header import Header, TensorInfo
from swarm.base.errors import BadInput
from swarm.catalog.gguf import MAGIC as GGUF_MAGIC
from swarm.catalog.gguf import read_gguf

MAX_HEADER = 100 * 1024 * 1024
_SNIFF = 512
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_PAGES = (b"<!doctype", b"<html", b"<?xml", b"<head", b'{"error')
_CONVERT = "The route Pickle2SafeTensor converts it in a closed-off process; then use the .safetensors file beside it."


@dataclass(frozen=True, kw_only=True)
class FileHeader:
    """A header, and where the data begins: `data_offset` bytes into the file, None where there is no such place."""

    header: Header
    data_offset: int | None = None


def read_header(path: Path, name: str = "") -> Header:
    """The header of a model file or diffusers folder. `name`: what the catalog calls it.

    Raises BadInput with a sentence that says what is wrong with the file, OSError when it cannot be read.
    """
    return read_file_header(path, name).header


def read_file_header(path: Path, name: str = "") -> FileHeader:
    """Like `read_header`, with the place where the data begins."""
    name = name or path.name
    if path.is_dir():
        return FileHeader(header=_folder_header(path, name))
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        start = file.read(_SNIFF)
        refusal = _refusal(name, start)
        if refusal is not None:
            raise BadInput(refusal)
        file.seek(0)
        if start.startswith(GGUF_MAGIC):
            tensors, metadata = read_gguf(file, size, name)
            return FileHeader(header=Header(tensors, metadata, name))
        return _safetensors_header(file, size, name)


def _refusal(name: str, start: bytes) -> str | None:
    """What is wrong with a file that begins with `start`; None when it may be a model."""
    text = start.lstrip().lower()
    if not start:
        return f"The model file '{name}' is empty. The download or copy did not finish; get it again."
    if text.startswith(_PAGES):
        return f"The model file '{name}' is a web page, not a model: the download saved an error or login page instead."
    if text.startswith(b"version https://git-lfs"):
        return f"The model file '{name}' is only a Git LFS pointer; fetch the real file with 'git lfs pull'."
    # A safetensors file begins with its header's length, which may look like the begin of a pickle.
    if start.startswith(_PICKLES) and not (start[4:8] == bytes(4) and start[8:9] == b"{"):
        return pickle_refusal(name)
    return None


def pickle_refusal(name: str) -> str:
    """Why a pickled checkpoint is not opened, and what to do about it."""
    return f"The model file '{name}' is a pickled checkpoint, which can run any code when it is opened. {_CONVERT}"


def _safetensors_header(file: BinaryIO, size: int, name: str) -> FileHeader:
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > MAX_HEADER or length < 2:
        raise BadInput(f"The model file '{name}' is not a safetensors file: it does not begin with a valid header.")
    if 8 + length > size:
        raise BadInput(f"The model file '{name}' is cut off within its header; get it again.")
    try:
        root = orjson.loads(file.read(length))
    except orjson.JSONDecodeError:
        raise BadInput(f"The model file '{name}' is not a safetensors file: its header is not valid JSON.") from None
    if not isinstance(root, dict):
        raise BadInput(f"The model file '{name}' is not a safetensors file: its header is not a JSON object.")
    metadata = root.pop("__metadata__", None) or {}
    needed = 8 + length + _data_length(root, name)
    if needed > size:
        raise BadInput(
            f"The model file '{name}' is cut off: {size} of at least {needed} bytes are there; get it again."
        )
    if needed < size:
        raise BadInput(
            f"The model file '{name}' holds {size - needed} bytes more than its header speaks of; get it again."
        )
    return FileHeader(header=Header(Tensors(root), _texts(metadata), name), data_offset=8 + length)


def _data_length(root: Mapping[str, Any], name: str) -> int:
    """Where the last tensor ends. Raises BadInput when an entry is malformed."""
    last = 0
    try:
        # A header has thousands of entries, and there may be thousands of headers: plain loops are twice as fast.
        for entry in root.values():
            begin, end = entry["data_offsets"]
            sizes = entry["shape"]
            is_whole = type(begin) is int and type(end) is int and type(sizes) is list and type(entry["dtype"]) is str
            if not is_whole or not 0 <= begin <= end:
                raise ValueError(entry)
            for size in sizes:
                if type(size) is not int or size < 0:
                    raise ValueError(entry)
            if end > last:
                last = end
    except (TypeError, KeyError, IndexError, ValueError):
        raise BadInput(f"The model file '{name}' has a malformed header.") from None
    return last


def _texts(metadata: Any) -> Mapping[str, str]:
    if not isinstance(metadata, dict):
        return MappingProxyType({})
    return MappingProxyType({key: value for key, value in metadata.items() if isinstance(value, str)})


class Tensors(Mapping[str, TensorInfo]):
    """Checked header entries, turned into TensorInfo only when asked for: a header has thousands, rules read ten."""

    def __init__(self, entries: Mapping[str, Any]) -> None:
        self._entries = entries

    def __getitem__(self, name: str) -> TensorInfo:
        entry = self._entries[name]
        return TensorInfo(entry["dtype"], tuple(entry["shape"]))

    def __contains__(self, name: object) -> bool:
        return name in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


def _folder_header(path: Path, name: str) -> Header:
    index = _json_file(path / "model_index.json")
    pipeline = index.get("_class_name")
    if not isinstance(pipeline, str):
        raise BadInput(f"The model folder '{name}' has a model_index.json that names no pipeline class.")
    metadata = {"diffusers.pipeline": pipeline}
    unet = path / "unet" / "config.json"
    if unet.is_file():
        width = _json_file(unet).get("cross_attention_dim")
        if isinstance(width, int):
            metadata["diffusers.text_width"] = str(width)
    return Header({}, metadata, name)


def _json_file(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > MAX_HEADER:
        raise BadInput(f"The file '{path.name}' is too large to be a configuration.")
    try:
        content = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        raise BadInput(f"The file '{path.name}' of the model folder '{path.parent.name}' is not valid JSON.") from None
    return content if isinstance(content, dict) else {}

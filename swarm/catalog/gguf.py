"""GGUF headers: typed key-value pairs and tensor infos, little-endian (github.com/ggml-org/ggml, docs/gguf.md)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import BinaryIO

from swarm.architectures.header import TensorInfo
from swarm.base.errors import BadInput

MAGIC = b"GGUF"
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
_MAX_TEXT = 64 * 1024 * 1024
_MAX_COUNT = 1_000_000
_MAX_DIMENSIONS = 8


def read_gguf(file: BinaryIO, size: int, name: str) -> tuple[Mapping[str, TensorInfo], Mapping[str, str]]:
    """(tensors, metadata texts). Dimensions stay in file order, innermost first. Raises BadInput for a broken file."""
    reader = _Reader(file, size, name)
    reader.take(4)
    version = reader.number("I")
    if version not in (2, 3):
        raise BadInput(f"The model file '{name}' is GGUF of version {version}; versions 2 and 3 can be read.")
    tensor_count, pair_count = reader.count(), reader.count()
    metadata: dict[str, str] = {"gguf_version": str(version)}
    for _ in range(pair_count):
        key = reader.text()
        value = reader.value(reader.number("I"))
        if value is not None:
            metadata[key] = value
    return dict(reader.tensor() for _ in range(tensor_count)), metadata


class _Reader:
    """Reads forward and refuses to go beyond the end of the file."""

    def __init__(self, file: BinaryIO, size: int, name: str) -> None:
        self._file = file
        self._size = size
        self._name = name

    def take(self, length: int) -> bytes:
        data = self._file.read(length) if length <= _MAX_TEXT else b""
        if len(data) != length:
            raise BadInput(f"The model file '{self._name}' is cut off or damaged within its GGUF header; get it again.")
        return data

    def number(self, code: str) -> int:
        [value] = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return int(value)

    def count(self) -> int:
        value = self.number("Q")
        if value > _MAX_COUNT:
            raise BadInput(f"The model file '{self._name}' has a damaged GGUF header.")
        return value

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", errors="replace")

    def value(self, kind: int) -> str | None:
        """The value as text; None for arrays, which nothing here needs."""
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            self._skip_array()
            return None
        code = self._code(kind)
        [value] = struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))
        return str(value)

    def _skip_array(self) -> None:
        kind, length = self.number("I"), self.number("Q")
        if kind == _STRING:
            if length > _MAX_COUNT:
                raise BadInput(f"The model file '{self._name}' has a damaged GGUF header.")
            for _ in range(length):
                self.text()
        else:
            self.take(length * struct.calcsize("<" + self._code(kind)))

    def _code(self, kind: int) -> str:
        if kind not in _NUMBERS:
            raise BadInput(f"The model file '{self._name}' has a damaged GGUF header.")
        return _NUMBERS[kind]

    def tensor(self) -> tuple[str, TensorInfo]:
        name = self.text()
        dimensions = self.number("I")
        if dimensions > _MAX_DIMENSIONS:
            raise BadInput(f"The model file '{self._name}' has a damaged GGUF header.")
        shape = tuple(self.number("Q") for _ in range(dimensions))
        kind, offset = self.number("I"), self.number("Q")
        if offset > self._size:
            raise BadInput(f"The model file '{self._name}' is cut off; get it again.")
        return name, TensorInfo(str(kind), shape)

"""GGUF files: quantised blocks, given back as float32 one tensor at a time by the gguf package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize

_ORIGINAL_SHAPE = "comfy.gguf.orig_shape."
"""Entries for tensors that were folded to rows of a block's length when they were quantised."""
_PLAIN = (GGMLQuantizationType.F32, GGMLQuantizationType.F16)


def is_gguf(start: bytes) -> bool:
    """Whether a file with these first bytes is GGUF."""
    return start.startswith(b"GGUF")


class GgufFile:
    """The tensors of a GGUF file. Dimensions are stored innermost first; `shapes` has them as torch does."""

    def __init__(self, path: Path) -> None:
        """Raises ValueError, KeyError or IndexError when the file is cut off or of another version."""
        reader = GGUFReader(str(path))
        self._tensors = {tensor.name: tensor for tensor in reader.tensors}
        self.metadata = {
            name: str(field.contents())
            for name, field in reader.fields.items()
            if field.types and field.types[0].name == "STRING"
        }
        self.shapes = {name: self._shape(reader, name, tensor) for name, tensor in self._tensors.items()}

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor: as it is when stored as floats of 16 or 32 bits, else unpacked to float32."""
        stored = self._tensors[name]
        plain = stored.data if stored.tensor_type in _PLAIN else dequantize(stored.data, stored.tensor_type)
        return torch.from_numpy(plain.copy()).reshape(self.shapes[name])

    @staticmethod
    def _shape(reader: GGUFReader, name: str, tensor: Any) -> tuple[int, ...]:
        folded = reader.get_field(_ORIGINAL_SHAPE + name)
        if folded is not None:
            return tuple(int(size) for size in folded.contents())
        return tuple(int(size) for size in reversed(tensor.shape))

"""A single model file, opened to read weights: refusals in sentences, shapes at once, tensors on demand.

safetensors and GGUF look alike from outside. Weights that were stored smaller are given back at their true size: GGUF's
quantised blocks, and 8-bit floats that stand beside a scale (`x.scale_weight` or `x.weight_scale` for `x.weight`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from swarm.base.errors import BadInput
from swarm.engine.files.gguf_file import GgufFile, is_gguf

_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SCALES = (".scale_weight", ".weight_scale")
_BESIDE_WEIGHTS = (*_SCALES, ".scale_input", ".input_scale", ".comfy_quant", "scaled_fp8")
"""Ends of the names of what is stored for the weights' sake and is no weight itself."""


DAMAGES = (SafetensorError, OSError, ValueError, KeyError, IndexError, NotImplementedError)
"""What the libraries raise for files that are cut off or wrong."""


class Checkpoint:
    """The tensors of one file. `shapes`: name to shape, read from the header. `metadata`: the header's text entries."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput with a sentence when the file is missing, truncated, pickled, or of another format."""
        self.path = path
        start = _start(path)
        # A safetensors file begins with its header's length, which may look like the begin of a pickle.
        if start.startswith(_PICKLE_STARTS) and not (start[4:8] == bytes(4) and start[8:] == b"{"):
            raise BadInput(
                f"The model file '{path.name}' is a pickled checkpoint, which can run any code when it is opened. "
                "The route Pickle2SafeTensor converts it in a closed-off process; then use the .safetensors file."
            )
        try:
            self._file: GgufFile | _Safetensors = GgufFile(path) if is_gguf(start) else _Safetensors(path)
        except DAMAGES as error:
            raise BadInput(_damaged(path, error)) from None
        self.metadata: Mapping[str, str] = self._file.metadata
        every = self._file.shapes
        self._scales = {
            name.removesuffix(end) + ".weight": name for name in every for end in _SCALES if name.endswith(end)
        }
        self.shapes = {name: shape for name, shape in every.items() if not name.endswith(_BESIDE_WEIGHTS)}

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, on the CPU, in the file's own type or float32. Raises BadInput when it cannot be read."""
        try:
            found = self._file.tensor(name)
            scale = self._scales.get(name)
            if scale is None or not found.dtype.is_floating_point or found.dtype.itemsize > 1:
                return found
            factor = self._file.tensor(scale).float()
            rows = factor.reshape(-1, *[1] * (found.ndim - 1)) if factor.numel() == found.shape[0] else factor
            return found.float() * rows
        except (*DAMAGES, RuntimeError) as error:
            raise BadInput(_damaged(self.path, error)) from None

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors whose names start with `prefix`, by the rest of the name."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}

    def tensors_below(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        """(rest of the name, tensor) for the names that start with `prefix`."""
        for name in self.shapes:
            if name.startswith(prefix):
                yield name[len(prefix) :], self.tensor(name)

    def prefix(self, prefixes: Iterable[str], *markers: str) -> str | None:
        """The first of `prefixes` below which one of `markers` is a tensor; None if there is none."""
        return next((prefix for prefix in prefixes if any(prefix + each in self.shapes for each in markers)), None)

    def config(self) -> dict[str, dict[str, Any]]:
        """Component configs the file brings along (metadata `swarm.config`, JSON): component name to its entries.

        They win over what is derived from shapes; heads and norm groups cannot be seen in shapes.
        """
        text = self.metadata.get("swarm.config")
        if text is None:
            return {}
        try:
            parsed = json.loads(text)
        except ValueError:
            raise BadInput(f"The model file '{self.path.name}' carries a damaged 'swarm.config' entry.") from None
        if not isinstance(parsed, dict) or not all(isinstance(part, dict) for part in parsed.values()):
            raise BadInput(f"The model file '{self.path.name}' has a 'swarm.config' that is no JSON object.")
        return parsed


class _Safetensors:
    def __init__(self, path: Path) -> None:
        self._file = safe_open(str(path), framework="pt", device="cpu")
        self.metadata: dict[str, str] = self._file.metadata() or {}
        self.shapes = {
            name: tuple(self._file.get_slice(name).get_shape())
            for name in self._file.keys()  # noqa: SIM118
        }

    def tensor(self, name: str) -> torch.Tensor:
        found: torch.Tensor = self._file.get_tensor(name)
        return found


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(9)
    except OSError as error:
        raise BadInput(f"The model file '{path.name}' cannot be read: {error.strerror}.") from None


def _damaged(path: Path, error: Exception) -> str:
    return f"The model file '{path.name}' is damaged or incomplete ({error}). Download it again."

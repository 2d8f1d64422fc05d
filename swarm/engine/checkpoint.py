"""A single safetensors file, opened to read weights: refusals in sentences, shapes at once, tensors on demand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from swarm.base.errors import BadInput

_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


class Checkpoint:
    """The tensors of one file. `shapes`: name to shape, read from the header. `metadata`: the header's text entries."""

    def __init__(self, path: Path) -> None:
        """Raises BadInput with a sentence when the file is missing, truncated, pickled, or not safetensors at all."""
        self.path = path
        _refuse_pickles(path)
        try:
            self._file = safe_open(str(path), framework="pt", device="cpu")
        except (SafetensorError, OSError) as error:
            raise BadInput(_damaged(path, error)) from None
        self.metadata: Mapping[str, str] = self._file.metadata() or {}
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(self._file.get_slice(name).get_shape())
            for name in self._file.keys()  # noqa: SIM118
        }

    def tensor(self, name: str) -> torch.Tensor:
        """One tensor, on the CPU in the file's own type. Raises BadInput when its bytes cannot be read."""
        try:
            found: torch.Tensor = self._file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise BadInput(_damaged(self.path, error)) from None
        return found

    def below(self, prefix: str) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors whose names start with `prefix`, by the rest of the name."""
        return {name[len(prefix) :]: shape for name, shape in self.shapes.items() if name.startswith(prefix)}

    def tensors_below(self, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
        """(rest of the name, tensor) for the names that start with `prefix`."""
        for name in self.shapes:
            if name.startswith(prefix):
                yield name[len(prefix) :], self.tensor(name)

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


def _refuse_pickles(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise BadInput(f"The model file '{path.name}' cannot be read: {error.strerror}.") from None
    if start.startswith(_PICKLE_STARTS):
        raise BadInput(
            f"The model file '{path.name}' is a pickled checkpoint, which can run any code when it is opened. "
            "Convert it to safetensors first, for example with the 'convert' tool of the safetensors project."
        )


def _damaged(path: Path, error: Exception) -> str:
    return f"The model file '{path.name}' is damaged or incomplete ({error}). Download it again."

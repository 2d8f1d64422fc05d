"""What a model file says about itself without its weights. Families are detected from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NONE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class TensorInfo:
    """`dtype`: as the file spells it (`F16`, `BF16` …). `shape`: outermost dimension first."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Header:
    """Tensor names with their shapes, and the metadata text fields (sidecar fields included).

    `name`: the model's name in the catalog; a few rules need it because the weights do not tell. A diffusers folder has
    no tensors here but `diffusers.pipeline` (its pipeline class) and, where known, `diffusers.text_width` as metadata.
    """

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str] = field(default_factory=lambda: _NONE)
    name: str = ""

    def has(self, *names: str) -> bool:
        """Whether all these tensors exist, spelled exactly so."""
        return all(name in self.tensors for name in names)

    def has_any(self, *names: str) -> bool:
        return any(name in self.tensors for name in names)

    def shape(self, *names: str) -> tuple[int, ...] | None:
        """The shape of the first of `names` that exists."""
        return next((self.tensors[name].shape for name in names if name in self.tensors), None)

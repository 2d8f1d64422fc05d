"""Which loader builds the pipeline of a single file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.whole.ltx import load_ltx
from swarm.engine.whole.single import Single, family_of
from swarm.engine.whole.wan import load_wan
from swarm.jobs.job import ModelFile

_LOADERS: Mapping[str, Callable[[Single], Any]] = {
    "WanPipeline": load_wan,
    "WanImageToVideoPipeline": load_wan,
    "LTXPipeline": load_ltx,
}
"""By the diffusers class that the family names."""


def load_single(file: ModelFile, parts: Mapping[str, ModelFile], dtype: torch.dtype, device: Device) -> Any:
    """The pipeline of a single file, in main memory. Raises BadInput with a sentence when there can be none."""
    family = family_of(file)
    load = _LOADERS.get(family.pipeline)
    if load is None:
        raise BadInput(f"The model '{file.name}' is of a family that this server can only run from a diffusers folder.")
    return load(Single(file=file, parts=parts, family=family, dtype=dtype, device=device))

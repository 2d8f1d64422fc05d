"""Which loader builds the pipeline of a single file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.device import Device
from swarm.engine.whole.cogvideox import load_cogvideox
from swarm.engine.whole.hunyuan import load_hunyuan
from swarm.engine.whole.hunyuan_15 import load_hunyuan_15
from swarm.engine.whole.hunyuan_picture import load_hunyuan_picture
from swarm.engine.whole.ltx import load_ltx
from swarm.engine.whole.single import Single, family_of
from swarm.engine.whole.svd import load_svd
from swarm.engine.whole.wan import load_wan
from swarm.jobs.job import ModelFile

_LOADERS: Mapping[str, Callable[[Single], Any]] = {
    "WanPipeline": load_wan,
    "WanImageToVideoPipeline": load_wan,
    "LTXPipeline": load_ltx,
    "CogVideoXPipeline": load_cogvideox,
    "CogVideoXImageToVideoPipeline": load_cogvideox,
    "HunyuanVideoPipeline": load_hunyuan,
    "HunyuanVideoImageToVideoPipeline": load_hunyuan_picture,
    "HunyuanVideo15Pipeline": load_hunyuan_15,
    "StableVideoDiffusionPipeline": load_svd,
}
"""By the diffusers class that the family names."""

_BY_FAMILY: Mapping[str, Callable[[Single], Any]] = {"stable-video-diffusion-img2vid-v0_9": load_svd}
"""Families that are told by their tensors, and whose folders are said to be of another version."""


def load_single(file: ModelFile, parts: Mapping[str, ModelFile], dtype: torch.dtype, device: Device) -> Any:
    """The pipeline of a single file, in main memory. Raises BadInput with a sentence when there can be none."""
    family = family_of(file)
    load = _BY_FAMILY.get(family.id) or _LOADERS.get(family.pipeline)
    if load is None:
        raise BadInput(f"The model '{file.name}' is of a family that this server can only run from a diffusers folder.")
    return load(Single(file=file, parts=parts, family=family, dtype=dtype, device=device))

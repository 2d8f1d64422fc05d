"""HunyuanVideo 1.5's VAE from a single file, in its published names or in diffusers'."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLHunyuanVideo15

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.whole.single import Single, converted
from swarm.engine.whole.vae_names import film_vae_name

_USUAL = "hunyuanvideo15_vae_fp16.safetensors"
_PREFIXES = ("", "vae.", "first_stage_model.")
_PUBLISHED, _DIFFUSERS = "encoder.down.0.block.0.norm1.gamma", "encoder.down_blocks.0.resnets.0.norm1.gamma"
_MARKER = "decoder.conv_in.conv.weight"


def hunyuan_15_vae(single: Single, channels: int) -> Any:
    """The VAE of a model with so many latent channels. Raises BadInput with the name of the right file."""
    part = single.part("vae", "VAE", _USUAL)
    file = Checkpoint(part.path)
    prefix = file.prefix(_PREFIXES, _PUBLISHED, _DIFFUSERS)
    if prefix is None or file.shapes.get(prefix + _MARKER, (0, 0))[1] != channels:
        raise BadInput(
            f"The VAE '{part.name}' is not the one of HunyuanVideo 1.5, which this model needs. Put '{_USUAL}' into "
            "the folder models/VAE and refresh the model list."
        )
    config = {**vae_config(file.below(prefix)), **file.config().get("vae", {})}
    return converted(AutoencoderKLHunyuanVideo15, config, file, prefix, _converted, single.dtype)


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """The config by shapes, of either layout: a level more than it halves the sides."""
    named = {film_vae_name(name): shape for name, shape in shapes.items()}
    levels = range(count(named, r"encoder\.down_blocks\.(\d+)\."))
    return {
        "latent_channels": named[_MARKER][1],
        "block_out_channels": tuple(
            named[f"encoder.down_blocks.{level}.resnets.0.conv1.conv.weight"][0] for level in levels
        ),
        "layers_per_block": count(named, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "spatial_compression_ratio": 2 ** count(named, r"encoder\.down_blocks\.(\d+)\.downsamplers\."),
    }


def _converted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {film_vae_name(name): tensor for name, tensor in tensors.items()}

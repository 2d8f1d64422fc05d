"""HunyuanVideo's VAE from a single file, in its published names (diffusers') or in those it was repacked in."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKLHunyuanVideo

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import vae_key
from swarm.engine.files.shapes import Shapes, count, groups
from swarm.engine.whole.single import Single, converted

_USUAL = "hunyuan_video_vae_bf16.safetensors"
_PREFIXES = ("", "vae.", "first_stage_model.")
_MARKER = "decoder.conv_in.conv.weight"
_REPACKED, _PUBLISHED = "encoder.down.0.block.0.conv1.conv.weight", "encoder.down_blocks.0.resnets.0.conv1.conv.weight"


def hunyuan_vae(single: Single) -> Any:
    """Raises BadInput with the name of the right file."""
    part = single.part("vae", "VAE", _USUAL)
    file = Checkpoint(part.path)
    prefix = file.prefix(_PREFIXES, _REPACKED, _PUBLISHED)
    if prefix is None or prefix + _MARKER not in file.shapes:
        raise BadInput(
            f"The VAE '{part.name}' is not the one of HunyuanVideo, which this model needs. Put '{_USUAL}' into the "
            "folder models/VAE and refresh the model list."
        )
    shapes = file.below(prefix)
    config = {**vae_config(shapes), **file.config().get("vae", {})}
    levels = len(config["block_out_channels"])

    def convert(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if _REPACKED not in tensors:
            return tensors
        named = ((vae_key(name, levels), tensor) for name, tensor in tensors.items())
        return {name: tensor for name, tensor in named if name is not None}

    return converted(AutoencoderKLHunyuanVideo, config, file, prefix, convert, single.dtype)


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """The config by shapes, of either layout."""
    level, block = ("down", "block") if _REPACKED in shapes else ("down_blocks", "resnets")
    levels = count(shapes, rf"encoder\.{level}\.(\d+)\.")
    channels = [shapes[f"encoder.{level}.{place}.{block}.0.conv1.conv.weight"][0] for place in range(levels)]
    return {
        "latent_channels": shapes[_MARKER][1],
        "block_out_channels": tuple(channels),
        "layers_per_block": count(shapes, rf"encoder\.{level}\.0\.{block}\.(\d+)\."),
        "down_block_types": ("HunyuanVideoDownBlock3D",) * levels,
        "up_block_types": ("HunyuanVideoUpBlock3D",) * levels,
        "norm_num_groups": groups(channels),
    }

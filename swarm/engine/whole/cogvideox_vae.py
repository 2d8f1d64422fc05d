"""CogVideoX' VAE from a single file, in diffusers' names or in those it was published in."""

from __future__ import annotations

import re
from typing import Any

import torch
from diffusers import AutoencoderKLCogVideoX

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count, groups
from swarm.engine.whole.single import Single, converted
from swarm.engine.whole.vae_names import film_vae_name

_USUAL = "cogvideox_vae_bf16.safetensors"
_PREFIXES = ("", "vae.", "first_stage_model.")
_DIFFUSERS, _PUBLISHED = "encoder.down_blocks.0.resnets.0.norm1.weight", "encoder.down.0.block.0.norm1.weight"
_MARKER = "decoder.conv_in.conv.weight"
_UP = re.compile(r"decoder\.up_blocks\.(\d+)\.")


def cogvideox_vae(single: Single, *, scale: float, inverted: bool) -> Any:
    """`scale`: of the latents that the model was trained on; `inverted`: pictures to start from are divided by it.

    Raises BadInput with the name of the right file.
    """
    part = single.part("vae", "VAE", _USUAL)
    file = Checkpoint(part.path)
    prefix = file.prefix(_PREFIXES, _DIFFUSERS, _PUBLISHED)
    if prefix is None or "decoder.mid_block.resnets.0.norm1.conv_y.conv.weight" not in map(
        film_vae_name, file.below(prefix)
    ):
        raise BadInput(
            f"The VAE '{part.name}' is not the one of CogVideoX, which this model needs. Put '{_USUAL}' into the "
            "folder models/VAE and refresh the model list."
        )
    config = {**vae_config(file.below(prefix)), "scaling_factor": scale, "invert_scale_latents": inverted}
    config |= file.config().get("vae", {})
    return converted(AutoencoderKLCogVideoX, config, file, prefix, _converted, single.dtype)


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """The config by shapes, of either layout."""
    named = {film_vae_name(name): shape for name, shape in shapes.items()}
    levels = count(named, r"encoder\.down_blocks\.(\d+)\.")
    widths = [named[f"encoder.down_blocks.{level}.resnets.0.conv1.conv.weight"][0] for level in range(levels)]
    return {
        "latent_channels": named[_MARKER][1],
        "block_out_channels": tuple(widths),
        "layers_per_block": count(named, r"encoder\.down_blocks\.0\.resnets\.(\d+)\."),
        "down_block_types": ("CogVideoXDownBlock3D",) * levels,
        "up_block_types": ("CogVideoXUpBlock3D",) * levels,
        "norm_num_groups": groups(widths),
    }


def _converted(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if _PUBLISHED not in tensors:
        return tensors
    named = {film_vae_name(name): tensor for name, tensor in tensors.items()}
    last = count(dict.fromkeys(named, ()), r"encoder\.down_blocks\.(\d+)\.") - 1
    return {_UP.sub(lambda found: f"decoder.up_blocks.{last - int(found[1])}.", k): v for k, v in named.items()}

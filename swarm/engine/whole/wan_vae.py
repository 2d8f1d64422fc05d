"""The two VAEs of Wan from single files: 2.1's of 16 channels, and 2.2's of 48, which the 5B model sees through."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import count
from swarm.engine.whole.single import Single, converted

FIRST_CHANNELS = 16
_FIRST, _SECOND = "wan_2.1_vae.safetensors", "wan2.2_vae.safetensors"
_FIRST_MARKER = "decoder.upsamples.0.residual.0.gamma"
_SECOND_MARKER = "decoder.upsamples.0.upsamples.0.residual.0.gamma"
_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
_SPREAD = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip
"""Of 2.2's latent channels, as it was published."""

_BLOCK = re.compile(r"(encoder\.down|decoder\.up)samples\.(\d+)\.(down|up)samples\.(\d+)\.(.+)")
_TOP = (
    ("encoder.conv1.", "encoder.conv_in."),
    ("decoder.conv1.", "decoder.conv_in."),
    ("conv1.", "quant_conv."),
    ("conv2.", "post_quant_conv."),
)
_INNER = (
    (".head.0.", ".norm_out."),
    (".head.2.", ".conv_out."),
    (".middle.0.", ".mid_block.resnets.0."),
    (".middle.1.", ".mid_block.attentions.0."),
    (".middle.2.", ".mid_block.resnets.1."),
    ("residual.0.", "norm1."),
    ("residual.2.", "conv1."),
    ("residual.3.", "norm2."),
    ("residual.6.", "conv2."),
    ("shortcut.", "conv_shortcut."),
)


def wan_vae(single: Single, channels: int) -> Any:
    """The VAE of a model with so many latent channels. Raises BadInput with the name of the right file."""
    first = channels <= FIRST_CHANNELS
    usual = _FIRST if first else _SECOND
    part = single.part("vae", "VAE", usual)
    file = Checkpoint(part.path)
    middle = file.shapes.get("conv2.weight")
    if (_FIRST_MARKER if first else _SECOND_MARKER) not in file.shapes or middle is None:
        raise BadInput(
            f"The VAE '{part.name}' is not the one of Wan {'2.1' if first else '2.2'}, which this model needs. Put "
            f"'{usual}' into the folder models/VAE and refresh the model list."
        )
    own = file.config().get("vae", {})
    if first:
        config = {"base_dim": file.shapes["encoder.conv1.weight"][0], "z_dim": middle[0], **own}
        return converted(AutoencoderKLWan, config, file, "", convert_wan_vae_to_diffusers, single.dtype)
    config = {**second_config(file.shapes), **own}
    return converted(AutoencoderKLWan, config, file, "", _second_names, single.dtype)


def second_config(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """2.2's config by its shapes: it folds 2x2 pixels into channels, and its decoder is wider than its encoder."""
    levels = count(shapes, r"decoder\.upsamples\.(\d+)\.")
    channels = shapes["conv2.weight"][0]
    known = {"latents_mean": list(_MEAN), "latents_std": list(_SPREAD)} if channels == len(_MEAN) else {}
    return {
        "base_dim": shapes["encoder.conv1.weight"][0],
        "decoder_base_dim": shapes[f"decoder.upsamples.{levels - 1}.upsamples.0.residual.2.weight"][0],
        "z_dim": channels,
        "num_res_blocks": count(shapes, r"encoder\.downsamples\.3\.downsamples\.(\d+)\."),
        "is_residual": True,
        "in_channels": shapes["encoder.conv1.weight"][1],
        "out_channels": shapes["decoder.head.2.weight"][0],
        "patch_size": 2,
        "scale_factor_temporal": 4,
        "scale_factor_spatial": 16,
        **known,
    }


def _second_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {_second_name(name): tensor for name, tensor in tensors.items()}


def _second_name(name: str) -> str:
    if match := _BLOCK.fullmatch(name):
        side, level, way, number, rest = match.groups()
        kind = f"resnets.{number}" if rest.startswith(("residual.", "shortcut.")) else f"{way}sampler"
        name = f"{side}_blocks.{level}.{kind}.{rest}"
    for old, new in _TOP:
        if name.startswith(old):
            return new + name[len(old) :]
    for old, new in _INNER:
        name = name.replace(old, new)
    return name

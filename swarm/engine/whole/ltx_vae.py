"""LTX-Video's VAE from single files: the layouts of 0.9.0, of 0.9.1, and of 0.9.5 and all later ones."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo
from diffusers.loaders.single_file_utils import convert_ltx_vae_checkpoint_to_diffusers

from swarm.base.errors import BadInput
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.whole.single import Single, converted

_LAST = "encoder.conv_out.conv.weight"
_TIMED = "decoder.last_time_embedder.timestep_embedder.linear_1.weight"
_LATER = "encoder.down_blocks.1.conv.conv.weight"
_WAYS = ("spatial", "temporal", "spatiotemporal", "spatiotemporal")
_FIRST_VAE: Mapping[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "decoder_block_out_channels": (128, 256, 512, 512),
    "layers_per_block": (4, 3, 3, 3, 4),
    "decoder_layers_per_block": (4, 3, 3, 3, 4),
    "spatio_temporal_scaling": (True, True, True, False),
    "decoder_spatio_temporal_scaling": (True, True, True, False),
}
_TIMED_VAE: Mapping[str, Any] = {
    "decoder_spatio_temporal_scaling": (True, True, True),
    "upsample_residual": (True, True, True),
    "upsample_factor": (2, 2, 2),
    "timestep_conditioning": True,
}
_BLOCK = re.compile(r"(encoder\.down|decoder\.up)_blocks\.(\d+)\.(.+)")
_PARTS = (
    ("res_blocks.", "resnets."),
    ("conv_shortcut.", "conv_shortcut.conv."),
    ("norm3.norm.", "norm3."),
    ("decoder.last_time_embedder.", "decoder.time_embedder."),
    ("decoder.last_scale_shift_table", "decoder.scale_shift_table"),
    ("per_channel_statistics.mean-of-means", "latents_mean"),
    ("per_channel_statistics.std-of-means", "latents_std"),
)


def ltx_vae(file: Checkpoint, single: Single) -> Any:
    """From the model's own file, else from the one beside it. Raises BadInput."""
    if not file.below("vae."):
        file = Checkpoint(single.part("vae", "VAE", "ltx_video_vae.safetensors").path)
    prefix = "vae." if file.below("vae.") else ""
    shapes = file.below(prefix)
    if _LAST not in shapes or "per_channel_statistics.mean-of-means" not in shapes:
        raise BadInput(
            f"The file '{file.path.name}' holds no VAE of LTX-Video in its original names. Use the model as a "
            "diffusers folder."
        )
    config = {**vae_config(shapes), **file.config().get("vae", {})}
    convert = _later_names if _LATER in shapes else _earlier_names
    return converted(AutoencoderKLLTXVideo, config, file, prefix, convert, single.dtype)


def vae_config(shapes: Shapes) -> dict[str, Any]:
    """Of the layout that names and shapes tell."""
    config = {**_FIRST_VAE, "latent_channels": shapes["per_channel_statistics.mean-of-means"][0]}
    if _TIMED in shapes:
        config |= {**_TIMED_VAE, **_decoder(shapes)}
    if _LATER in shapes:
        config |= _later_encoder(shapes)
    return config


def _decoder(shapes: Shapes) -> dict[str, Any]:
    """Of decoders told the noise level: residual blocks at even places, enlarging ones between, deepest first."""
    homes = [f"decoder.up_blocks.{place}" for place in range(0, count(shapes, r"decoder\.up_blocks\.(\d+)\."), 2)]
    layers = [_layers(shapes, home) for home in homes]
    widths = [shapes[f"{home}.res_blocks.0.conv1.conv.weight"][0] for home in homes[:-1]]
    noisy = [f"{home}.res_blocks.0.per_channel_scale1" in shapes for home in homes]
    return {
        "decoder_block_out_channels": tuple(reversed(widths)),
        "decoder_layers_per_block": tuple(reversed(layers)),
        "decoder_inject_noise": tuple(reversed(noisy)),
    }


def _later_encoder(shapes: Shapes) -> dict[str, Any]:
    homes = [f"encoder.down_blocks.{place}" for place in range(0, count(shapes, r"encoder\.down_blocks\.(\d+)\."), 2)]
    return {
        "block_out_channels": tuple(shapes[f"{home}.res_blocks.0.conv1.conv.weight"][0] for home in homes),
        "layers_per_block": tuple(_layers(shapes, home) for home in homes),
        "down_block_types": ("LTXVideo095DownBlock3D",) * (len(homes) - 1),
        "downsample_type": _WAYS,
        "spatio_temporal_scaling": (True,) * (len(homes) - 1),
        "spatial_compression_ratio": 32,
        "temporal_compression_ratio": 8,
    }


def _layers(shapes: Shapes, home: str) -> int:
    return count(shapes, re.escape(home) + r"\.res_blocks\.(\d+)\.")


def _earlier_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = convert_ltx_vae_checkpoint_to_diffusers(
        {f"vae.{k}": v for k, v in tensors.items()}
    )
    return found


def _later_names(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    last = count(dict.fromkeys(tensors, ()), r"encoder\.down_blocks\.(\d+)\.") - 1
    return {_later_name(name, last): tensor for name, tensor in tensors.items()}


def _later_name(name: str, last: int) -> str:
    """`last`: the place of the encoder's innermost block, which diffusers calls its middle."""
    if match := _BLOCK.fullmatch(name):
        side, place, rest = match[1], int(match[2]), match[3]
        down = side.endswith("down")
        if place == (last if down else 0):
            home = f"{side.partition('.')[0]}.mid_block"
        elif place % 2:
            home = f"{side}_blocks.{place // 2}.{side.partition('.')[2]}samplers.0"
        else:
            home = f"{side}_blocks.{place // 2 - (0 if down else 1)}"
        name = f"{home}.{rest}"
    for old, new in _PARTS:
        name = name.replace(old, new)
    return name

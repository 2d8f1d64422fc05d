"""A tiny LTX-Video of 0.9.5 or later as people have it: the VAE with four kinds of steps down, told the noise level."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo

from tests.support.tiny import ltx_files
from tests.support.tiny.weights import Tensors, state, write

_DOWN, _UP = r"^encoder\.down_blocks\.(\d)\.", r"^decoder\.up_blocks\.(\d)\."


def vae() -> Any:
    torch.manual_seed(1)
    return AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 16, 16, 32),
        decoder_block_out_channels=(8, 16, 32),
        layers_per_block=(1, 2, 1, 1, 2),
        decoder_layers_per_block=(2, 1, 1, 2),
        down_block_types=("LTXVideo095DownBlock3D",) * 4,
        downsample_type=("spatial", "temporal", "spatiotemporal", "spatiotemporal"),
        spatio_temporal_scaling=(True,) * 4,
        decoder_spatio_temporal_scaling=(True,) * 3,
        decoder_inject_noise=(False, True, False, False),
        upsample_residual=(True,) * 3,
        upsample_factor=(2, 2, 2),
        timestep_conditioning=True,
    ).eval()


def save(folder: Path, family: str = "") -> Path:
    """The whole file: the transformer is that of the earlier ones."""
    tensors = ltx_files.transformer_tensors()
    for name, value in state(vae()).items():
        tensors[f"vae.{_name(name)}"] = value
    config = {"transformer": ltx_files.HEADS}
    return write(folder / "ltx-0.9.8.safetensors", tensors, config, family)


def save_vae(folder: Path) -> Path:
    tensors: Tensors = {_name(name): value for name, value in state(vae()).items()}
    return write(folder / "ltx_video_vae.safetensors", tensors)


def _name(name: str) -> str:
    if name in ("latents_mean", "latents_std"):
        return "per_channel_statistics." + {"latents_mean": "mean-of-means", "latents_std": "std-of-means"}[name]
    name = re.sub(_DOWN + r"downsamplers\.0\.", lambda found: f"encoder.down_blocks.{2 * int(found[1]) + 1}!.", name)
    name = re.sub(_DOWN, lambda found: f"encoder.down_blocks.{2 * int(found[1])}.", name).replace("!.", ".")
    name = re.sub(_UP + r"upsamplers\.0\.", lambda found: f"decoder.up_blocks.{2 * int(found[1]) + 1}!.", name)
    name = re.sub(_UP, lambda found: f"decoder.up_blocks.{2 * int(found[1]) + 2}.", name).replace("!.", ".")
    name = name.replace("encoder.mid_block.", "encoder.down_blocks.8.").replace(
        "decoder.mid_block.", "decoder.up_blocks.0."
    )
    name = re.sub(r"^decoder\.(time_embedder|scale_shift_table)", r"decoder.last_\1", name)
    return name.replace("resnets.", "res_blocks.").replace("norm3.", "norm3.norm.")

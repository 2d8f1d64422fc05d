"""A tiny LTX-Video as people have it: transformer and VAE in one file, in the original names of 0.9.0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo, LTXVideoTransformer3DModel

from tests.support.tiny import encoders
from tests.support.tiny.weights import Tensors, state, write

_TRANSFORMER = (
    ("proj_in.", "patchify_proj."),
    ("time_embed.", "adaln_single."),
    ("norm_q.", "q_norm."),
    ("norm_k.", "k_norm."),
)
_DECODER = {
    "mid_block": "up_blocks.0",
    "up_blocks.0": "up_blocks.1",
    "up_blocks.1.upsamplers.0": "up_blocks.2",
    "up_blocks.1": "up_blocks.3",
    "up_blocks.2.conv_in": "up_blocks.4",
    "up_blocks.2.upsamplers.0": "up_blocks.5",
    "up_blocks.2": "up_blocks.6",
    "up_blocks.3.conv_in": "up_blocks.7",
    "up_blocks.3.upsamplers.0": "up_blocks.8",
    "up_blocks.3": "up_blocks.9",
}
_ENCODER = {
    "down_blocks.0.downsamplers.0": "down_blocks.1",
    "down_blocks.0.conv_out": "down_blocks.2",
    "down_blocks.0": "down_blocks.0",
    "down_blocks.1.downsamplers.0": "down_blocks.4",
    "down_blocks.1.conv_out": "down_blocks.5",
    "down_blocks.1": "down_blocks.3",
    "down_blocks.2.downsamplers.0": "down_blocks.7",
    "down_blocks.2": "down_blocks.6",
    "down_blocks.3": "down_blocks.8",
    "mid_block": "down_blocks.9",
}
_PARTS = (("conv_shortcut.conv.", "conv_shortcut."), ("resnets.", "res_blocks."), ("norm3.", "norm3.norm."))
HEADS = {"num_attention_heads": 4, "attention_head_dim": 8}
_VAE = {
    "latent_channels": 8,
    "block_out_channels": [8, 16, 32, 32],
    "decoder_block_out_channels": [8, 16, 32, 32],
    "layers_per_block": [1, 1, 1, 1, 1],
    "decoder_layers_per_block": [1, 1, 1, 1, 1],
}


def transformer() -> Any:
    torch.manual_seed(0)
    return LTXVideoTransformer3DModel(
        in_channels=8,
        out_channels=8,
        num_attention_heads=4,
        attention_head_dim=8,
        cross_attention_dim=32,
        num_layers=2,
        caption_channels=encoders.T5,
    ).eval()


def vae() -> Any:
    torch.manual_seed(1)
    scaling = (True, True, True, False)
    return AutoencoderKLLTXVideo(
        **_VAE, spatio_temporal_scaling=scaling, decoder_spatio_temporal_scaling=scaling
    ).eval()


def transformer_tensors() -> Tensors:
    """In the original names, as a whole file has them."""
    tensors: Tensors = {}
    for name, value in state(transformer()).items():
        for new, old in _TRANSFORMER:
            name = name.replace(new, old)
        tensors[f"model.diffusion_model.{name}"] = value
    return tensors


def save(folder: Path, family: str = "") -> Path:
    """The whole file."""
    tensors = transformer_tensors()
    for name, value in state(vae()).items():
        tensors[f"vae.{_vae_name(name)}"] = value
    config = {"transformer": HEADS, "vae": _VAE}
    return write(folder / "ltx.safetensors", tensors, config, family)


def _vae_name(name: str) -> str:
    if name in ("latents_mean", "latents_std"):
        return "per_channel_statistics." + {"latents_mean": "mean-of-means", "latents_std": "std-of-means"}[name]
    side, _, rest = name.partition(".")
    table = _DECODER if side == "decoder" else _ENCODER
    found = next((new for new in table if rest.startswith(f"{new}.")), None)
    if found is not None:
        rest = table[found] + rest[len(found) :]
    for new, old in _PARTS:
        rest = rest.replace(new, old)
    return f"{side}.{rest}"

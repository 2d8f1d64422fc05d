"""A tiny Wan 2.2 5B as people have it: its transformer in its original names, and 2.2's VAE of 48 channels."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from tests.support.tiny.video import WIDTH
from tests.support.tiny.wan_files import transformer_tensors
from tests.support.tiny.weights import Tensors, state, write

FAMILY = "wan-2_2-ti2v-5b"
_NAMES = (
    (r"^(encoder|decoder)\.conv_in\.", r"\1.conv1."),
    (r"^quant_conv\.", "conv1."),
    (r"^post_quant_conv\.", "conv2."),
    (r"\.norm_out\.", ".head.0."),
    (r"\.conv_out\.", ".head.2."),
    (r"\.mid_block\.resnets\.(\d)\.norm1\.", r".mid_block.resnets.\1.residual.0."),
    (r"(resnets\.\d+\.)norm1\.", r"\1residual.0."),
    (r"(resnets\.\d+\.)conv1\.", r"\1residual.2."),
    (r"(resnets\.\d+\.)norm2\.", r"\1residual.3."),
    (r"(resnets\.\d+\.)conv2\.", r"\1residual.6."),
    (r"(resnets\.\d+\.)conv_shortcut\.", r"\1shortcut."),
    (r"\.mid_block\.resnets\.0\.", ".middle.0."),
    (r"\.mid_block\.attentions\.0\.", ".middle.1."),
    (r"\.mid_block\.resnets\.1\.", ".middle.2."),
    (r"^encoder\.down_blocks\.(\d)\.resnets\.", r"encoder.downsamples.\1.downsamples."),
    (r"^encoder\.down_blocks\.(\d)\.downsampler\.", r"encoder.downsamples.\1.downsamples.2."),
    (r"^decoder\.up_blocks\.(\d)\.resnets\.", r"decoder.upsamples.\1.upsamples."),
    (r"^decoder\.up_blocks\.(\d)\.upsampler\.", r"decoder.upsamples.\1.upsamples.3."),
)


def transformer() -> Any:
    torch.manual_seed(0)
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=48,
        out_channels=48,
        text_dim=WIDTH,
        freq_dim=256,
        ffn_dim=32,
        num_layers=2,
        cross_attn_norm=True,
        qk_norm="rms_norm_across_heads",
        rope_max_seq_len=32,
    ).eval()


def vae() -> Any:
    torch.manual_seed(1)
    return AutoencoderKLWan(
        base_dim=4,
        decoder_base_dim=8,
        z_dim=48,
        is_residual=True,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        scale_factor_spatial=16,
        scale_factor_temporal=4,
    ).eval()


def save(folder: Path, family: str = "") -> Path:
    """The transformer's file."""
    config = {"transformer": {"num_attention_heads": 2, "attention_head_dim": 12, "rope_max_seq_len": 32}}
    return write(folder / "wan5b.safetensors", transformer_tensors(transformer()), config, family)


def save_vae(folder: Path) -> Path:
    tensors: Tensors = {_name(name): value for name, value in state(vae()).items()}
    return write(folder / "wan2.2_vae.safetensors", tensors)


def _name(name: str) -> str:
    for new, old in _NAMES:
        name = re.sub(new, old, name)
    return name

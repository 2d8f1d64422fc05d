"""Tiny VAEs: modules with random weights, and their tensors by the names of the original files."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderDC, AutoencoderKL, AutoencoderKLFlux2, AutoencoderKLQwenImage

from tests.support.tiny.weights import Tensors, refreshed
from tests.support.tiny_models import vae_entry

_LEVELS = 4
_BLOCKS: dict[str, Any] = {
    "block_out_channels": (8, 8, 16, 16),
    "layers_per_block": 1,
    "norm_num_groups": 8,
    "down_block_types": ("DownEncoderBlock2D",) * _LEVELS,
    "up_block_types": ("UpDecoderBlock2D",) * _LEVELS,
}


def sd_vae(scale: float) -> Any:
    """Four channels: Stable Diffusion 1, 2 (0.18215), XL, PixArt, AuraFlow (0.13025)."""
    return refreshed(AutoencoderKL(**_BLOCKS, latent_channels=4, sample_size=512, scaling_factor=scale), 11)


def flux_vae() -> Any:
    """Sixteen channels: Flux.1, Chroma, Lumina 2, Z-Image."""
    return _sixteen(0.3611, 0.1159)


def sd3_vae() -> Any:
    return _sixteen(1.5305, 0.0609)


def _sixteen(scale: float, shift: float) -> Any:
    vae = AutoencoderKL(
        **_BLOCKS,
        latent_channels=16,
        sample_size=1024,
        scaling_factor=scale,
        shift_factor=shift,
        use_quant_conv=False,
        use_post_quant_conv=False,
        force_upcast=True,
    )
    return refreshed(vae, 12)


def flux2_vae() -> Any:
    """Thirty-two channels and statistics of the latents in a batch norm without weights."""
    vae: Any = AutoencoderKLFlux2(**_BLOCKS)
    refreshed(vae, 13)
    means = torch.rand(vae.bn.running_mean.shape, generator=torch.Generator().manual_seed(13)) * 0.2 - 0.1
    vae.bn.running_mean.copy_(means.half())
    vae.bn.running_var.fill_(1.25)
    return vae


def qwen_vae() -> Any:
    """Made for films; a picture is one frame."""
    return refreshed(AutoencoderKLQwenImage(base_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=2), 14)


def sana_vae() -> Any:
    """A deep-compression autoencoder, 32 pixels to a latent cell."""
    vae = AutoencoderDC(
        latent_channels=32,
        attention_head_dim=8,
        encoder_block_types=("ResBlock",) * 4 + ("EfficientViTBlock",) * 2,
        decoder_block_types=("ResBlock",) * 4 + ("EfficientViTBlock",) * 2,
        encoder_block_out_channels=(4, 4, 8, 8, 32, 64),
        decoder_block_out_channels=(4, 4, 8, 8, 32, 64),
        encoder_layers_per_block=(1,) * 6,
        decoder_layers_per_block=(1,) * 6,
        encoder_qkv_multiscales=((), (), (), (), (5,), (5,)),
        decoder_qkv_multiscales=((), (), (), (), (5,), (5,)),
        upsample_block_type="interpolate",
        downsample_block_type="Conv",
        scaling_factor=0.41407,
    )
    return refreshed(vae, 15)


def original_kl(vae: Any) -> Tensors:
    """`encoder.down.0.block.0.norm1.weight` …: Stable Diffusion's and Flux's own names."""
    entries = (vae_entry(name, weight.detach(), _LEVELS) for name, weight in vae.named_parameters())
    return {name: value.half() for name, value in entries}


def original_flux2(vae: Any) -> Tensors:
    """As `original_kl`; the two outermost convolutions lie inside encoder and decoder, beside the statistics."""
    inner = {"quant_conv.": "encoder.quant_conv.", "post_quant_conv.": "decoder.post_quant_conv."}
    named = original_kl(vae)
    renamed = {
        next((new + name[len(old) :] for old, new in inner.items() if name.startswith(old)), name): value
        for name, value in named.items()
    }
    return renamed | {f"bn.{name}": value for name, value in vae.bn.state_dict().items()}


def original_qwen(vae: Any) -> Tensors:
    """Wan's names: `encoder.downsamples.0.residual.0.gamma` …"""
    return {_qwen_name(name): value.detach().half() for name, value in vae.named_parameters()}


_INNER = {
    "norm1.": "residual.0.",
    "conv1.": "residual.2.",
    "norm2.": "residual.3.",
    "conv2.": "residual.6.",
    "conv_shortcut.": "shortcut.",
}


def _qwen_name(name: str) -> str:
    if name.startswith(("quant_conv.", "post_quant_conv.")):
        return name.replace("post_quant_conv.", "conv2.").replace("quant_conv.", "conv1.")
    side, part, rest = name.split(".", 2)
    top = {"conv_in": "conv1", "norm_out": "head.0", "conv_out": "head.2"}.get(part)
    if top is not None:
        return f"{side}.{top}.{rest}"
    if part == "mid_block":
        kind, number, rest = rest.split(".", 2)
        if kind == "attentions":
            return f"{side}.middle.1.{rest}"
        return f"{side}.middle.{2 * int(number)}.{_residual(rest)}"
    if part == "down_blocks":
        number, rest = rest.split(".", 1)
        return f"{side}.downsamples.{number}.{_residual(rest)}"
    block, kind, number, rest = rest.split(".", 3)
    place = 4 * int(block) + (int(number) if kind == "resnets" else 3)
    return f"{side}.upsamples.{place}.{_residual(rest)}"


def _residual(rest: str) -> str:
    for new, old in _INNER.items():
        if rest.startswith(new):
            return old + rest[len(new) :]
    return rest

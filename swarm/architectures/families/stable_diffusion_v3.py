"""Stable Diffusion 3 and 3.5: multimodal diffusion transformers, rectified flow."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import SD3_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, lora_for, prefixed

MEDIUM_COMPAT = CompatClass(id="stable-diffusion-v3-medium", short_code="SD3m", vae_family="sd3")
LARGE_COMPAT = CompatClass(id="stable-diffusion-v3.5-large", short_code="SD35L", vae_family="sd3")
MEDIUM_35_COMPAT = CompatClass(id="stable-diffusion-v3.5-medium", short_code="SD35m", vae_family="sd3")
VAE_COMPAT = CompatClass(id="stable-diffusion-v3", short_code="SD3", vae_family="sd3")

_LARGE_WIDTH = 2432


def _width(header: Header) -> int | None:
    shape = denoiser_shape(header, "joint_blocks.0.context_block.attn.proj.bias")
    return shape[0] if shape else None


def _has_dual_attention(header: Header) -> bool:
    """Only 3.5 Medium attends to the picture twice."""
    return prefixed(header, "joint_blocks.0.x_block.attn2.qkv.weight")


def _is_medium(header: Header) -> bool:
    return _width(header) not in (None, _LARGE_WIDTH) and not _has_dual_attention(header)


def _is_medium_lora(header: Header) -> bool:
    modules = ("time_text_embed.timestep_embedder.linear_2", "transformer_blocks.1.norm1_context.linear")
    blocks = ("transformer_blocks.0.ff.net.2", "transformer_blocks.0.ff_context.net.2")
    ours = lora_for(header, *modules, *blocks) and not lora_for(header, "single_transformer_blocks.0.attn.to_k")
    return ours or header.has("base_model.model.transformer_blocks.23.ff.net.2.lora_B.weight")


def _is_large_lora(header: Header) -> bool:
    first = "transformer.transformer_blocks.0.attn.to_k.lora_A.weight"
    return header.has(first, "transformer.transformer_blocks.37.attn.to_out.0.lora_B.weight") and not header.has(
        "transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight"
    )


SD3_MEDIUM = Architecture(
    id="stable-diffusion-v3-medium",
    name="Stable Diffusion 3 Medium",
    compat=MEDIUM_COMPAT,
    standard_width=1024,
    standard_height=1024,
    detect=_is_medium,
    latent=SD3_LATENT,
    prediction="flow",
    pipeline="StableDiffusion3Pipeline",
    adapter="sd3",
    flow_shift=3.0,
    text_encoders=("clip_l", "clip_g", "t5xxl"),
    text_width=4096,
)
SD35_LARGE = replace(
    SD3_MEDIUM,
    id="stable-diffusion-v3.5-large",
    name="Stable Diffusion 3.5 Large",
    compat=LARGE_COMPAT,
    detect=lambda header: _width(header) == _LARGE_WIDTH,
)
SD35_MEDIUM = replace(
    SD3_MEDIUM,
    id="stable-diffusion-v3.5-medium",
    name="Stable Diffusion 3.5 Medium",
    compat=MEDIUM_35_COMPAT,
    detect=lambda header: _width(header) not in (None, _LARGE_WIDTH) and _has_dual_attention(header),
)


def _companion(id: str, name: str, compat: CompatClass) -> Architecture:
    return Architecture(id=id, name=name, compat=compat, standard_width=1024, standard_height=1024)


SD3_MEDIUM_LORA = replace(
    _companion("stable-diffusion-v3-medium/lora", "Stable Diffusion 3 Medium LoRA", MEDIUM_COMPAT),
    detect=lambda header: _is_medium_lora(header) and not _is_large_lora(header),
)
SD35_LARGE_LORA = replace(
    _companion("stable-diffusion-v3.5-large/lora", "Stable Diffusion 3.5 Large LoRA", LARGE_COMPAT),
    detect=_is_large_lora,
)
SD35_MEDIUM_LORA = _companion("stable-diffusion-v3.5-medium/lora", "Stable Diffusion 3.5 Medium LoRA", MEDIUM_35_COMPAT)
SD3_VAE = _companion("stable-diffusion-v3/vae", "Stable Diffusion 3 VAE", VAE_COMPAT)

"""Lumina 2 and Z-Image: single-stream transformers that refine the caption first."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import FLUX_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import lora_for, prefixed

LUMINA_COMPAT = CompatClass(id="lumina-2", short_code="Lumi2", vae_family="flux1")
Z_IMAGE_COMPAT = CompatClass(id="z-image", short_code="ZImg", loras_target_text_enc=False, vae_family="flux1")


def _is_lumina(header: Header) -> bool:
    return prefixed(header, "cap_embedder.0.weight") or is_lumina_in_diffusers_names(header)


def is_lumina_in_diffusers_names(header: Header) -> bool:
    """OmniGen 2 has the same names and some for the pictures it looks at."""
    caption, layer = "time_caption_embed.caption_embedder.0.weight", "layers.0.norm1.norm.weight"
    return prefixed(header, caption, layer) and not prefixed(header, "ref_image_refiner.0.attn.to_k.weight")


def is_z_image(header: Header) -> bool:
    refiner = "context_refiner.0.attention."
    normed = prefixed(header, refiner + "k_norm.weight") or prefixed(header, refiner + "norm_k.weight")
    return _is_lumina(header) and normed and prefixed(header, "layers.0.adaLN_modulation.0.bias")


def is_zeta(header: Header) -> bool:
    return prefixed(header, "dec_net.input_embedder.embedder.0.bias", "__x0__")


def _is_z_image_lora(header: Header) -> bool:
    attention = ("context_refiner.1.attention.to_k", "layers.29.attention.to_v", "noise_refiner.0.attention.to_q")
    return lora_for(header, "layers.0.adaLN_modulation.0", "layers.9.feed_forward.w3") or lora_for(header, *attention)


LUMINA_2 = Architecture(
    id="lumina-2",
    name="Lumina 2",
    compat=LUMINA_COMPAT,
    standard_width=1024,
    standard_height=1024,
    detect=lambda header: _is_lumina(header) and not is_z_image(header),
    latent=FLUX_LATENT,
    prediction="flow",
    pipeline="Lumina2Pipeline",
    adapter="lumina-2",
    flow_shift=6.0,
    text_encoders=("gemma2",),
)
Z_IMAGE = replace(
    LUMINA_2,
    id="z-image",
    name="Z-Image",
    compat=Z_IMAGE_COMPAT,
    detect=lambda header: is_z_image(header) and not is_zeta(header),
    pipeline="ZImagePipeline",
    adapter="z-image",
    flow_shift=3.0,
    default_schedule="simple",
    text_encoders=("qwen3",),
)
Z_IMAGE_LORA = Architecture(
    id="z-image/lora",
    name="Z-Image LoRA",
    compat=Z_IMAGE_COMPAT,
    standard_width=1024,
    standard_height=1024,
    detect=_is_z_image_lora,
)

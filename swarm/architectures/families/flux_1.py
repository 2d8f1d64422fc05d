"""Flux.1 and the models built on its transformer: Chroma."""

from __future__ import annotations

from dataclasses import replace
from math import exp

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.flux_2 import is_klein_lora
from swarm.architectures.families.hunyuan import VIDEO_15_LORA_RULE
from swarm.architectures.families.latents import FLUX_LATENT
from swarm.architectures.header import Header
from swarm.architectures.rules import denoiser_shape, prefixed

COMPAT = CompatClass(id="flux-1", short_code="Flux", loras_target_text_enc=False, vae_family="flux1")
CHROMA_COMPAT = CompatClass(id="chroma", short_code="Chroma", vae_family="flux1")
RADIANCE_COMPAT = CompatClass(id="chroma-radiance", short_code="ChrRad")

_BLOCKS = 22
_LORA_SPELLINGS = (
    "diffusion_model.double_blocks.{}.img_attn.proj.lora_down.weight",
    "model.diffusion_model.double_blocks.{}.img_attn.proj.lora_down.weight",
    "lora_unet_double_blocks_{}_img_attn_proj.lora_down.weight",
    "lora_unet_single_blocks_{}_linear1.lora_down.weight",
    "lora_unet_single_blocks_{}_linear2.lora_down.weight",
    "lora_transformer_single_transformer_blocks_{}_attn_to_k.lora_down.weight",
    "transformer.single_transformer_blocks.{}.attn.to_k.lora_A.weight",
    "transformer.single_transformer_blocks.{}.proj_out.lora_A.weight",
)
_DIFFUSERS = (
    "time_text_embed.guidance_embedder.linear_1.weight",
    "single_transformer_blocks.0.attn.norm_k.weight",
    "transformer_blocks.0.attn.add_k_proj.weight",
    "single_transformer_blocks.0.proj_mlp.weight",
)


def is_chroma(header: Header) -> bool:
    return prefixed(header, "distilled_guidance_layer.in_proj.bias", "double_blocks.0.img_attn.proj.bias")


def is_flux_2(header: Header) -> bool:
    return denoiser_shape(header, "double_stream_modulation_img.lin.weight") is not None


def _is_flux(header: Header) -> bool:
    ours = prefixed(header, "double_blocks.0.img_attn.norm.key_norm.scale")
    ovis = prefixed(header, "double_blocks.0.img_mlp.down_proj.weight")
    return ours and not is_chroma(header) and not is_flux_2(header) and not ovis


def _is_schnell(header: Header) -> bool:
    return _is_flux(header) and not prefixed(header, "guidance_in.in_layer.bias")


def _is_guided(header: Header) -> bool:
    own = _is_flux(header) and prefixed(header, "guidance_in.in_layer.bias")
    nunchaku = header.has(
        "single_transformer_blocks.0.norm.linear.qweight", "transformer_blocks.0.mlp_context_fc1.bias"
    )
    return own or header.has(*_DIFFUSERS) or nunchaku


def _inputs(header: Header) -> int | None:
    """Channels of a latent patch with what is put beside it: 64 plain, 128 depth or canny, 384 fill."""
    shape = denoiser_shape(header, "img_in.weight")
    return shape[1] if shape is not None and len(shape) == 2 else None


def _is_lora(header: Header) -> bool:
    ours = header.has_any(*(spelling.format(block) for spelling in _LORA_SPELLINGS for block in range(_BLOCKS)))
    return ours and not VIDEO_15_LORA_RULE(header) and not is_klein_lora(header)


def _is_controlnet(header: Header) -> bool:
    return header.has(
        "controlnet_blocks.0.bias",
        "transformer_blocks.0.ff.net.0.proj.bias",
        "transformer_blocks.0.attn.norm_added_k.weight",
    )


FLUX_DEV = Architecture(
    id="Flux.1-dev",
    name="Flux.1 Dev",
    compat=COMPAT,
    standard_width=1024,
    standard_height=1024,
    detect=lambda header: _is_guided(header) and _inputs(header) != 384,
    latent=FLUX_LATENT,
    prediction="flow",
    pipeline="FluxPipeline",
    adapter="flux",
    flow_shift=exp(1.15),
    shift_grows=True,
    train_steps=10_000,
    default_schedule="simple",
    text_encoders=("clip_l", "t5xxl"),
    text_width=4096,
)
FLUX_SCHNELL = replace(
    FLUX_DEV, id="Flux.1-schnell", name="Flux.1 Schnell", detect=_is_schnell, flow_shift=1.0, train_steps=1000
)
FLUX_FILL = replace(
    FLUX_DEV,
    id="Flux.1-dev/inpaint",
    name="Flux.1 Fill/Inpaint",
    detect=lambda header: _is_guided(header) and _inputs(header) == 384,
    pipeline="FluxFillPipeline",
)
FLUX_KONTEXT = replace(
    FLUX_DEV,
    id="Flux.1-dev/kontext",
    name="Flux.1 Kontext Dev",
    detect=None,
    pipeline="FluxKontextPipeline",
    takes_references=True,
    looks_at_init=True,
    reference_pixels=1024 * 1024,
    references_follow_result=True,
)
FLUX_DEPTH = replace(FLUX_DEV, id="Flux.1-dev/depth", name="Flux.1 Depth", detect=None, pipeline="FluxControlPipeline")
FLUX_CANNY = replace(FLUX_DEPTH, id="Flux.1-dev/canny", name="Flux.1 Canny")


def _companion(id: str, name: str) -> Architecture:
    return Architecture(id=id, name=name, compat=COMPAT, standard_width=1024, standard_height=1024)


FLUX_LORA = replace(_companion("Flux.1-dev/lora", "Flux.1 LoRA"), detect=_is_lora)
FLUX_LORA_DEPTH = _companion("Flux.1-dev/lora-depth", "Flux.1 Depth LoRA")
FLUX_LORA_CANNY = _companion("Flux.1-dev/lora-canny", "Flux.1 Canny LoRA")
FLUX_CONTROLNET = replace(_companion("Flux.1-dev/controlnet", "Flux.1 ControlNet"), detect=_is_controlnet)
FLUX_VAE = _companion("flux.1/vae", "Flux.1 Autoencoder")


def _is_radiance(header: Header) -> bool:
    return is_chroma(header) and prefixed(header, "nerf_image_embedder.embedder.0.bias")


CHROMA = replace(
    FLUX_DEV,
    id="chroma",
    name="Chroma",
    compat=CHROMA_COMPAT,
    detect=lambda header: is_chroma(header) and not _is_radiance(header),
    pipeline="ChromaPipeline",
    adapter="chroma",
    flow_shift=1.0,
    shift_grows=False,
    train_steps=1000,
    default_schedule="beta",
    text_encoders=("t5xxl",),
)
CHROMA_LORA = replace(_companion("chroma/lora", "Chroma LoRA"), compat=CHROMA_COMPAT)
CHROMA_RADIANCE = replace(_companion("chroma-radiance", "Chroma Radiance"), compat=RADIANCE_COMPAT, detect=_is_radiance)

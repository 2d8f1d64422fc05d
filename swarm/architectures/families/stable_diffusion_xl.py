"""Stable Diffusion XL: a larger UNet with two text encoders, its refiner, and the files made for them."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import SDXL_LATENT
from swarm.architectures.families.stable_diffusion_v1 import is_lora_sdxl, unet_inputs
from swarm.architectures.header import Header

COMPAT = CompatClass(id="stable-diffusion-xl-v1", short_code="SDXL", vae_family="sdxl")
REFINER_COMPAT = CompatClass(id="stable-diffusion-xl-v1-refiner", short_code="SDXL", vae_family="sdxl")

_SECOND_TEXT = "conditioner.embedders.0.model.ln_final.bias"


def _is_base(header: Header) -> bool:
    return header.has("conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight")


def _is_refiner(header: Header) -> bool:
    return header.has(_SECOND_TEXT) and not header.has("denoiser.sigmas")


def _is_controlnet(header: Header) -> bool:
    transformer = header.has("controlnet_blocks.0.bias", "transformer_blocks.0.ff.net.0.proj.bias")
    return header.has("controlnet_down_blocks.0.bias") and not transformer


def _is_embedding(header: Header) -> bool:
    large, small = header.shape("clip_g"), header.shape("clip_l")
    return large is not None and small is not None and large[1:] == (1280,) and small[1:] == (768,)


SDXL = Architecture(
    id="stable-diffusion-xl-v1-base",
    name="Stable Diffusion XL 1.0-Base",
    compat=COMPAT,
    standard_width=1024,
    standard_height=1024,
    latent=SDXL_LATENT,
    prediction="epsilon",
    pipeline="StableDiffusionXLPipeline",
    adapter="unet",
    text_encoders=("clip_l", "clip_g"),
    text_width=2048,
)
SDXL_09 = replace(
    SDXL,
    id="stable-diffusion-xl-v0_9-base",
    name="Stable Diffusion XL 0.9-Base",
    detect=lambda header: _is_base(header) and unet_inputs(header) not in (8, 9),
)
SDXL_TURBO = replace(
    SDXL,
    id="stable-diffusion-xl-turbo-v1",
    name="Stable Diffusion XL Turbo",
    standard_width=512,
    standard_height=512,
)
SDXL_EDIT = replace(
    SDXL,
    id="stable-diffusion-xl-v1-edit",
    name="Stable Diffusion XL 1.0 Edit",
    detect=lambda header: _is_base(header) and unet_inputs(header) == 8,
    pipeline="StableDiffusionXLInstructPix2PixPipeline",
    adapter=None,
)
SDXL_REFINER = replace(
    SDXL,
    id="stable-diffusion-xl-v1-refiner",
    name="Stable Diffusion XL 1.0-Refiner",
    compat=REFINER_COMPAT,
    pipeline="StableDiffusionXLImg2ImgPipeline",
    text_encoders=("clip_g",),
    text_width=1280,
)
SDXL_REFINER_09 = replace(
    SDXL_REFINER,
    id="stable-diffusion-xl-v0_9-refiner",
    name="Stable Diffusion XL 0.9-Refiner",
    detect=_is_refiner,
)


def _companion(kind: str, name: str) -> Architecture:
    return Architecture(
        id=f"stable-diffusion-xl-v1-base/{kind}",
        name=f"Stable Diffusion XL 1.0-Base {name}",
        compat=COMPAT,
        standard_width=1024,
        standard_height=1024,
    )


SDXL_LORA = replace(_companion("lora", "LoRA"), detect=is_lora_sdxl)
SDXL_CONTROLNET = replace(_companion("controlnet", "ControlNet"), detect=_is_controlnet)
SDXL_EMBEDDING = replace(_companion("textual-inversion", "Embedding"), detect=_is_embedding)
SDXL_CONTROL_LORA = replace(
    _companion("control-lora", "Control-LoRA"), detect=lambda header: header.has("lora_controlnet")
)
SDXL_VAE = _companion("vae", "VAE")

"""Stable Diffusion 2.x: the SD1 UNet with OpenCLIP's text encoder; the 768 px models predict v."""

from __future__ import annotations

from dataclasses import replace

from swarm.architectures.architecture import Architecture, CompatClass
from swarm.architectures.families.latents import SD1_LATENT
from swarm.architectures.families.stable_diffusion_v1 import embedding_width, lora_text_width, unet_inputs
from swarm.architectures.header import Header

COMPAT = CompatClass(id="stable-diffusion-v2", short_code="SDv2")
TURBO_COMPAT = CompatClass(id="stable-diffusion-v2-turbo", short_code="SDv2")


def _is_unclip(header: Header) -> bool:
    return header.has("embedder.model.visual.transformer.resblocks.0.attn.in_proj_weight")


def _is_depth(header: Header) -> bool:
    return header.has("depth_model.model.pretrained.act_postprocess3.0.project.0.bias")


def _is_checkpoint(header: Header) -> bool:
    plain = not _is_unclip(header) and not _is_depth(header) and unet_inputs(header) != 9
    return header.has("cond_stage_model.model.ln_final.bias") and plain


def _named_512(header: Header) -> bool:
    """Epsilon and v models hold the same tensors; only their names tell."""
    return any(part in header.name for part in ("512-", "-inpaint", "base-"))


SD2_512 = Architecture(
    id="stable-diffusion-v2-512",
    name="Stable Diffusion v2-512",
    compat=COMPAT,
    standard_width=512,
    standard_height=512,
    detect=lambda header: _is_checkpoint(header) and _named_512(header),
    latent=SD1_LATENT,
    pipeline="StableDiffusionPipeline",
    adapter="unet",
    text_encoders=("clip_h",),
    text_width=1024,
)
SD2_768 = replace(
    SD2_512,
    id="stable-diffusion-v2-768-v",
    name="Stable Diffusion v2-768v",
    standard_width=768,
    standard_height=768,
    detect=lambda header: _is_checkpoint(header) and not _named_512(header),
    prediction="v_prediction",
)
SD2_DEPTH = replace(
    SD2_512,
    id="stable-diffusion-v2-depth",
    name="Stable Diffusion v2 (Depth)",
    detect=_is_depth,
    pipeline="StableDiffusionDepth2ImgPipeline",
    adapter=None,
)
SD2_UNCLIP = replace(
    SD2_768,
    id="stable-diffusion-v2-unclip",
    name="Stable Diffusion v2 (Unclip)",
    detect=_is_unclip,
    pipeline="StableUnCLIPImg2ImgPipeline",
    adapter=None,
)
SD2_INPAINTING = replace(
    SD2_512,
    id="stable-diffusion-v2-inpainting",
    name="Stable Diffusion v2 (Inpainting)",
    detect=lambda header: header.has("cond_stage_model.model.ln_final.bias") and unet_inputs(header) == 9,
    pipeline="StableDiffusionInpaintPipeline",
)
SD2_TURBO = replace(
    SD2_512,
    id="stable-diffusion-v2-turbo",
    name="Stable Diffusion v2 Turbo",
    compat=TURBO_COMPAT,
    detect=lambda header: header.has("denoiser.sigmas", "conditioner.embedders.0.model.ln_final.bias"),
)
SD2_LORA = Architecture(
    id="stable-diffusion-v2-768-v/lora",
    name="Stable Diffusion v2 LoRA",
    compat=COMPAT,
    standard_width=768,
    standard_height=768,
    detect=lambda header: lora_text_width(header) == 1024,
)
SD2_EMBEDDING = replace(
    SD2_LORA,
    id="stable-diffusion-v2-768-v/textual-inversion",
    name="Stable Diffusion v2 Embedding",
    detect=lambda header: embedding_width(header) == 1024,
)

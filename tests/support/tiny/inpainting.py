"""Inpainting models in small: nine channels in (latent, mask, masked picture), for Stable Diffusion 1 and XL.

No class of its own is known for XL's: it says it is the base, and its nine channels say the rest.
"""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionInpaintPipeline, StableDiffusionXLInpaintPipeline

from swarm.engine.words.tokenizer import clip_tokenizer
from tests.support.tiny import autoencoders, encoders, unets
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Tensors


def sd1_denoiser() -> Any:
    return unets.unet((True, True, True, False), context=encoders.CLIP_L, seed=141, linear=False, inputs=9)


def sdxl_denoiser() -> Any:
    context = encoders.CLIP_L + encoders.CLIP_G
    return unets.unet((False, True, True), context=context, seed=142, linear=True, inputs=9, numbers=6)


def sd1_pipeline(model: Any) -> Any:
    return StableDiffusionInpaintPipeline(
        unet=model,
        vae=autoencoders.sd_vae(0.18215),
        text_encoder=unets.cut(encoders.clip_l(), 3),
        tokenizer=clip_tokenizer(),
        scheduler=unets.noise(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl_pipeline(model: Any) -> Any:
    second = clip_tokenizer()
    second.pad_token = "!"
    return StableDiffusionXLInpaintPipeline(
        unet=model,
        vae=autoencoders.sd_vae(0.13025),
        text_encoder=unets.cut(encoders.clip_l(), 3),
        tokenizer=clip_tokenizer(),
        text_encoder_2=encoders.clip_g(),
        tokenizer_2=second,
        scheduler=unets.noise(),
        add_watermarker=False,
    )


def sd1_extra() -> Tensors:
    return unets.vae_tensors(0.18215) | unets.clip_tensors("cond_stage_model.transformer.")


def sdxl_extra() -> Tensors:
    first = unets.clip_tensors("conditioner.embedders.0.transformer.")
    second = unets.open_clip_tensors("conditioner.embedders.1.model.", encoders.clip_g())
    return unets.vae_tensors(0.13025) | first | second


SD1 = TinyFamily(
    id="stable-diffusion-v1/inpaint",
    denoiser=sd1_denoiser,
    original=lambda: unets.original(sd1_denoiser()),
    convert=unets.converter(sd1_denoiser),
    pipeline=sd1_pipeline,
    files={},
    extra=sd1_extra,
    component="unet",
)
SDXL = TinyFamily(
    id="stable-diffusion-xl-v1-base",
    denoiser=sdxl_denoiser,
    original=lambda: unets.original(sdxl_denoiser()),
    convert=unets.converter(sdxl_denoiser),
    pipeline=sdxl_pipeline,
    files={},
    extra=sdxl_extra,
    component="unet",
)
FAMILIES = (SD1, SDXL)
make = SD1.make

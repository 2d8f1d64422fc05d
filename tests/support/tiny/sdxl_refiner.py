"""SDXL's refiner in small: OpenCLIP alone, five size numbers (the last is the aesthetic score), four levels."""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionXLImg2ImgPipeline

from swarm.engine.words.tokenizer import clip_tokenizer
from tests.support.tiny import autoencoders, encoders, unets
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Tensors


def denoiser() -> Any:
    return unets.unet((False, True, True, False), context=encoders.CLIP_G, seed=131, linear=True, numbers=5)


def pipeline(model: Any) -> Any:
    tokenizer = clip_tokenizer()
    tokenizer.pad_token = "!"
    return StableDiffusionXLImg2ImgPipeline(
        unet=model,
        vae=autoencoders.sd_vae(0.13025),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=encoders.clip_g(),
        tokenizer_2=tokenizer,
        scheduler=unets.noise(),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )


def extra() -> Tensors:
    return unets.vae_tensors(0.13025) | unets.open_clip_tensors("conditioner.embedders.0.model.", encoders.clip_g())


REFINER = TinyFamily(
    id="stable-diffusion-xl-v1-refiner",
    denoiser=denoiser,
    original=lambda: unets.original(denoiser()),
    convert=unets.converter(denoiser),
    pipeline=pipeline,
    files={},
    extra=extra,
    component="unet",
)
FAMILIES = (REFINER,)
make = REFINER.make

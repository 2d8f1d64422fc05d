"""Stable Diffusion 2.1 in small: v-prediction, OpenCLIP's text encoder with all 24 layers in its own names.

A diffusers folder holds 23 of them: the last is never read.
"""

from __future__ import annotations

from typing import Any

from diffusers import StableDiffusionPipeline

from swarm.engine.words.tokenizer import clip_tokenizer
from tests.support.tiny import autoencoders, encoders, unets
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Tensors

LAYERS = 24


def denoiser() -> Any:
    return unets.unet((True, True, True, False), context=encoders.CLIP_G, seed=121, linear=True)


def pipeline(model: Any) -> Any:
    tokenizer = clip_tokenizer()
    tokenizer.pad_token = "!"
    return StableDiffusionPipeline(
        unet=model,
        vae=autoencoders.sd_vae(0.18215),
        text_encoder=unets.cut(unets.clip_h(LAYERS), LAYERS - 1),
        tokenizer=tokenizer,
        scheduler=unets.noise("v_prediction"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def extra() -> Tensors:
    text = unets.open_clip_tensors("cond_stage_model.model.", unets.clip_h(LAYERS))
    return unets.vae_tensors(0.18215) | text


V_MODEL = TinyFamily(
    id="stable-diffusion-v2-768-v",
    denoiser=denoiser,
    original=lambda: unets.original(denoiser()),
    convert=unets.converter(denoiser),
    pipeline=pipeline,
    files={},
    extra=extra,
    component="unet",
)
FAMILIES = (V_MODEL,)
make = V_MODEL.make

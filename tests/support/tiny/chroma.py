"""Chroma in small: Flux.1's blocks without modulations of their own, which one small network gives all at once."""

from __future__ import annotations

from typing import Any

from diffusers import ChromaPipeline, ChromaTransformer2DModel
from diffusers.loaders.single_file_utils import convert_chroma_transformer_checkpoint_to_diffusers

from swarm.engine.words.tokenizer import t5_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import (
    DOUBLE,
    HEAD,
    SINGLE_BLOCKS,
    WIDTH,
    double_blocks,
    scheduler,
    single_blocks,
    t5_file,
    vae_file,
)
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, narrowed

GUIDE, GUIDE_LAYERS = 32, 2
convert = narrowed(convert_chroma_transformer_checkpoint_to_diffusers, {3072: WIDTH})


def shapes() -> Shapes:
    guide = "distilled_guidance_layer"
    found = linear(f"{guide}.in_proj", GUIDE, 64) | linear(f"{guide}.out_proj", WIDTH, GUIDE)
    for layer in range(GUIDE_LAYERS):
        found |= linear(f"{guide}.layers.{layer}.in_layer", GUIDE, GUIDE)
        found |= linear(f"{guide}.layers.{layer}.out_layer", GUIDE, GUIDE) | {f"{guide}.norms.{layer}.scale": (GUIDE,)}
    found |= (
        linear("img_in", WIDTH, 64) | linear("txt_in", WIDTH, encoders.T5) | linear("final_layer.linear", 64, WIDTH)
    )
    return found | double_blocks(modulated=False) | single_blocks(modulated=False)


def original() -> Tensors:
    return fresh(shapes(), 41)


def denoiser() -> Any:
    model = ChromaTransformer2DModel(
        num_layers=DOUBLE,
        num_single_layers=SINGLE_BLOCKS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        joint_attention_dim=encoders.T5,
        axes_dims_rope=(4, 14, 14),
        approximator_hidden_dim=GUIDE,
        approximator_layers=GUIDE_LAYERS,
    )
    return filled(model, convert(original()))


def pipeline(model: Any) -> Any:
    return ChromaPipeline(
        transformer=model,
        vae=autoencoders.flux_vae(),
        text_encoder=encoders.t5(),
        tokenizer=t5_tokenizer(),
        scheduler=scheduler(shift=1.0, use_dynamic_shifting=False),
    )


def extra() -> Tensors:
    found = below("vae.", autoencoders.original_kl(autoencoders.flux_vae()))
    return found | below("text_encoders.t5xxl.transformer.", encoders.t5_tensors(encoders.t5()))


CHROMA = TinyFamily(
    id="chroma",
    denoiser=denoiser,
    original=original,
    convert=convert,
    pipeline=pipeline,
    files={"vae": vae_file, "t5xxl": t5_file},
    extra=extra,
)
FAMILIES = (CHROMA,)
make = CHROMA.make

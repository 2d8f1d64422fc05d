"""Flux.1 in small: Black Forest Labs' names, two heads of 32, one double and two single blocks.

`make` writes Dev; `FAMILIES` holds the others: schnell (no guidance), fill (384 inputs) and kontext.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import (
    FlowMatchEulerDiscreteScheduler,
    FluxFillPipeline,
    FluxKontextPipeline,
    FluxPipeline,
    FluxTransformer2DModel,
)
from diffusers.loaders.single_file_utils import convert_flux_transformer_checkpoint_to_diffusers
from transformers import CLIPTextModel

from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, narrowed, state, write

WIDTH, HEAD = 64, 32
DOUBLE, SINGLE_BLOCKS = 1, 2
convert = narrowed(convert_flux_transformer_checkpoint_to_diffusers, {3072: WIDTH})


def shapes(*, inputs: int = 64, guided: bool = True) -> Shapes:
    found = linear("img_in", WIDTH, inputs) | linear("txt_in", WIDTH, encoders.T5)
    sources = {"time_in": 256, "vector_in": encoders.CLIP_L} | ({"guidance_in": 256} if guided else {})
    for name, width in sources.items():
        found |= linear(f"{name}.in_layer", WIDTH, width) | linear(f"{name}.out_layer", WIDTH, WIDTH)
    found |= double_blocks(modulated=True) | single_blocks(modulated=True)
    return found | linear("final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH) | linear("final_layer.linear", 64, WIDTH)


def double_blocks(*, modulated: bool) -> Shapes:
    found: Shapes = {}
    for block in range(DOUBLE):
        for side in ("img", "txt"):
            at = f"double_blocks.{block}.{side}"
            found |= linear(f"{at}_attn.qkv", 3 * WIDTH, WIDTH) | linear(f"{at}_attn.proj", WIDTH, WIDTH)
            found |= {f"{at}_attn.norm.{kind}_norm.scale": (HEAD,) for kind in ("query", "key")}
            found |= linear(f"{at}_mlp.0", 4 * WIDTH, WIDTH) | linear(f"{at}_mlp.2", WIDTH, 4 * WIDTH)
            if modulated:
                found |= linear(f"{at}_mod.lin", 6 * WIDTH, WIDTH)
    return found


def single_blocks(*, modulated: bool) -> Shapes:
    found: Shapes = {}
    for block in range(SINGLE_BLOCKS):
        at = f"single_blocks.{block}"
        found |= linear(f"{at}.linear1", 7 * WIDTH, WIDTH) | linear(f"{at}.linear2", WIDTH, 5 * WIDTH)
        found |= {f"{at}.norm.{kind}_norm.scale": (HEAD,) for kind in ("query", "key")}
        if modulated:
            found |= linear(f"{at}.modulation.lin", 3 * WIDTH, WIDTH)
    return found


def original(*, inputs: int = 64, guided: bool = True) -> Tensors:
    return fresh(shapes(inputs=inputs, guided=guided), 21)


def denoiser(*, inputs: int = 64, guided: bool = True) -> Any:
    model = FluxTransformer2DModel(
        in_channels=inputs,
        out_channels=64,
        num_layers=DOUBLE,
        num_single_layers=SINGLE_BLOCKS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        joint_attention_dim=encoders.T5,
        pooled_projection_dim=encoders.CLIP_L,
        guidance_embeds=guided,
        axes_dims_rope=(4, 14, 14),
    )
    return filled(model, convert(original(inputs=inputs, guided=guided)))


def scheduler(**changes: Any) -> Any:
    settings = {"shift": 3.0, "use_dynamic_shifting": True, "base_shift": 0.5, "max_shift": 1.15}
    return FlowMatchEulerDiscreteScheduler(**{**settings, **changes})


def pipeline(kind: Any, dynamic: bool, model: Any) -> Any:
    clip = encoders.clip_l()
    return kind(
        transformer=model,
        vae=autoencoders.flux_vae(),
        text_encoder=clip_text(clip),
        tokenizer=clip_tokenizer(),
        text_encoder_2=encoders.t5(),
        tokenizer_2=t5_tokenizer(),
        scheduler=scheduler() if dynamic else scheduler(shift=1.0, use_dynamic_shifting=False),
    )


def clip_text(model: Any) -> Any:
    """The same CLIP without its projection, as Flux pipelines want it."""
    plain = CLIPTextModel(model.config)
    known = {name.removeprefix("text_model."): value for name, value in model.state_dict().items()}
    known.pop("text_projection.weight")
    return filled(plain, known)


def vae_file(folder: Path) -> Path:
    """`ae.safetensors`: original names without prefix."""
    return write(folder / "ae.safetensors", autoencoders.original_kl(autoencoders.flux_vae()))


def clip_l_file(folder: Path) -> Path:
    return encoders.clip_file(folder / "clip_l.safetensors", encoders.clip_l())


def t5_file(folder: Path) -> Path:
    return encoders.t5_file(folder / "t5xxl.safetensors", encoders.t5())


def extra() -> Tensors:
    """What an all-in-one file has besides: `vae.` and `text_encoders.`."""
    found = below("vae.", autoencoders.original_kl(autoencoders.flux_vae()))
    found |= below("text_encoders.clip_l.transformer.", state(encoders.clip_l()))
    return found | below("text_encoders.t5xxl.transformer.", encoders.t5_tensors(encoders.t5()))


def _family(id: str, kind: Any, *, inputs: int = 64, guided: bool = True) -> TinyFamily:
    return TinyFamily(
        id=id,
        denoiser=partial(denoiser, inputs=inputs, guided=guided),
        original=partial(original, inputs=inputs, guided=guided),
        convert=convert,
        pipeline=partial(pipeline, kind, guided),
        files={"vae": vae_file, "clip_l": clip_l_file, "t5xxl": t5_file},
        extra=extra,
    )


DEV = _family("Flux.1-dev", FluxPipeline)
SCHNELL = _family("Flux.1-schnell", FluxPipeline, guided=False)
FILL = _family("Flux.1-dev/inpaint", FluxFillPipeline, inputs=384)
KONTEXT = _family("Flux.1-dev/kontext", FluxKontextPipeline)
FAMILIES = (DEV, SCHNELL, FILL, KONTEXT)
make: Callable[..., Path] = DEV.make

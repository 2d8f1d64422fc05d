"""Lumina 2 in small: one stream, two heads of 24 that share one key, two refiner layers each, Gemma 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, Lumina2Pipeline, Lumina2Transformer2DModel
from diffusers.loaders.single_file_utils import convert_lumina2_to_diffusers
from transformers import GemmaTokenizer

from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import vae_file
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, narrowed

WIDTH, HEAD, LAYERS, REFINERS = 48, 24, 2, 2
INNER = 4 * WIDTH
convert = narrowed(convert_lumina2_to_diffusers, {2304: WIDTH, 768: HEAD})


def shapes() -> Shapes:
    found = linear("x_embedder", WIDTH, 64) | linear("cap_embedder.1", WIDTH, encoders.GEMMA)
    found |= {"cap_embedder.0.weight": (encoders.GEMMA,), "norm_final.weight": (WIDTH,)}
    found |= linear("t_embedder.mlp.0", WIDTH, 256) | linear("t_embedder.mlp.2", WIDTH, WIDTH)
    for number in range(REFINERS):
        found |= _layer(f"noise_refiner.{number}", modulated=True) | _layer(
            f"context_refiner.{number}", modulated=False
        )
    for number in range(LAYERS):
        found |= _layer(f"layers.{number}", modulated=True)
    return found | linear("final_layer.adaLN_modulation.1", WIDTH, WIDTH) | linear("final_layer.linear", 64, WIDTH)


def _layer(at: str, *, modulated: bool) -> Shapes:
    found = linear(f"{at}.attention.qkv", WIDTH + 2 * HEAD, WIDTH, bias=False)
    found |= linear(f"{at}.attention.out", WIDTH, WIDTH, bias=False)
    found |= {f"{at}.attention.{kind}_norm.weight": (HEAD,) for kind in "qk"}
    for name, outputs, inputs in (("w1", INNER, WIDTH), ("w2", WIDTH, INNER), ("w3", INNER, WIDTH)):
        found |= linear(f"{at}.feed_forward.{name}", outputs, inputs, bias=False)
    found |= {f"{at}.{kind}_norm{side}.weight": (WIDTH,) for kind in ("attention", "ffn") for side in (1, 2)}
    return found | (linear(f"{at}.adaLN_modulation.1", 4 * WIDTH, WIDTH) if modulated else {})


def original() -> Tensors:
    return fresh(shapes(), 81)


def denoiser() -> Any:
    model = Lumina2Transformer2DModel(
        sample_size=128,
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_refiner_layers=REFINERS,
        num_attention_heads=WIDTH // HEAD,
        num_kv_heads=1,
        multiple_of=16,
        axes_dim_rope=(8, 8, 8),
        axes_lens=(300, 512, 512),
        cap_feat_dim=encoders.GEMMA,
    )
    return filled(model, convert(original()))


def gemma_tokenizer() -> Any:
    """diffusers' class over the small vocabulary that the text encoder's file carries."""
    return encoders.pieces_tokenizer(GemmaTokenizer, prefixed=False, start=True, end=False)


def pipeline(model: Any) -> Any:
    return Lumina2Pipeline(
        transformer=model,
        vae=autoencoders.flux_vae(),
        text_encoder=encoders.gemma2(),
        tokenizer=gemma_tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
    )


def gemma_file(folder: Path) -> Path:
    return encoders.gemma_file(folder / "gemma_2_2b.safetensors", encoders.gemma2())


def extra() -> Tensors:
    found = below("vae.", autoencoders.original_kl(autoencoders.flux_vae()))
    return found | below("text_encoders.gemma2_2b.transformer.", encoders.gemma_tensors(encoders.gemma2()))


LUMINA = TinyFamily(
    id="lumina-2",
    denoiser=denoiser,
    original=original,
    convert=convert,
    pipeline=pipeline,
    files={"vae": vae_file, "gemma2": gemma_file},
    extra=extra,
)
FAMILIES = (LUMINA,)
make = LUMINA.make

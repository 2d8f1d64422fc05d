"""Z-Image in small: one stream of two layers of two heads of 32, one refiner each for picture and caption, Qwen 3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, ZImagePipeline, ZImageTransformer2DModel
from diffusers.loaders.single_file_utils import convert_z_image_transformer_checkpoint_to_diffusers

from swarm.engine.words.tokenizer import qwen_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import vae_file
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear

WIDTH, HEAD, LAYERS, REFINERS = 64, 32, 2, 1
INNER = int(WIDTH / 3 * 8)
TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""The part of Qwen's chat template that plain prompts use."""


def shapes() -> Shapes:
    found: Shapes = {
        "x_pad_token": (1, WIDTH),
        "cap_pad_token": (1, WIDTH),
        "cap_embedder.0.weight": (encoders.LANGUAGE,),
    }
    found |= linear("x_embedder", WIDTH, 64) | linear("cap_embedder.1", WIDTH, encoders.LANGUAGE)
    found |= linear("t_embedder.mlp.0", 1024, 256) | linear("t_embedder.mlp.2", WIDTH, 1024)
    for number in range(REFINERS):
        found |= _layer(f"noise_refiner.{number}", modulated=True) | _layer(
            f"context_refiner.{number}", modulated=False
        )
    for number in range(LAYERS):
        found |= _layer(f"layers.{number}", modulated=True)
    found |= linear("final_layer.adaLN_modulation.1", WIDTH, WIDTH) | linear("final_layer.linear", 64, WIDTH)
    return found


def _layer(at: str, *, modulated: bool) -> Shapes:
    found = linear(f"{at}.attention.qkv", 3 * WIDTH, WIDTH, bias=False)
    found |= linear(f"{at}.attention.out", WIDTH, WIDTH, bias=False)
    found |= {f"{at}.attention.{kind}_norm.weight": (HEAD,) for kind in "qk"}
    for name, outputs, inputs in (("w1", INNER, WIDTH), ("w2", WIDTH, INNER), ("w3", INNER, WIDTH)):
        found |= linear(f"{at}.feed_forward.{name}", outputs, inputs, bias=False)
    found |= {f"{at}.{kind}_norm{side}.weight": (WIDTH,) for kind in ("attention", "ffn") for side in (1, 2)}
    return found | (linear(f"{at}.adaLN_modulation.0", 4 * WIDTH, WIDTH) if modulated else {})


def original() -> Tensors:
    return fresh(shapes(), 51)


def denoiser() -> Any:
    model = ZImageTransformer2DModel(
        dim=WIDTH,
        n_layers=LAYERS,
        n_refiner_layers=REFINERS,
        n_heads=WIDTH // HEAD,
        n_kv_heads=WIDTH // HEAD,
        cap_feat_dim=encoders.LANGUAGE,
        axes_dims=[8, 12, 12],
        axes_lens=[1536, 512, 512],
    )
    return filled(model, convert_z_image_transformer_checkpoint_to_diffusers(original()))


def pipeline(model: Any) -> Any:
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = TEMPLATE
    return ZImagePipeline(
        transformer=model,
        vae=autoencoders.flux_vae(),
        text_encoder=encoders.qwen3().model,
        tokenizer=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def qwen3_file(folder: Path) -> Path:
    return encoders.language_file(folder / "qwen_3_4b.safetensors", encoders.qwen3())


def extra() -> Tensors:
    found = below("vae.", autoencoders.original_kl(autoencoders.flux_vae()))
    return found | below("text_encoders.qwen3_4b.transformer.", encoders.language_tensors(encoders.qwen3()))


Z_IMAGE = TinyFamily(
    id="z-image",
    denoiser=denoiser,
    original=original,
    convert=convert_z_image_transformer_checkpoint_to_diffusers,
    pipeline=pipeline,
    files={"vae": vae_file, "qwen3": qwen3_file},
    extra=extra,
)
FAMILIES = (Z_IMAGE,)
make = Z_IMAGE.make

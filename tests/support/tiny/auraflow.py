"""AuraFlow in small: one joint and two single layers without biases, eight register tokens, Pile-T5.

Its own files keep the denoiser under `model.`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import AuraFlowPipeline, AuraFlowTransformer2DModel, FlowMatchEulerDiscreteScheduler
from diffusers.loaders.single_file_utils import convert_auraflow_transformer_checkpoint_to_diffusers
from transformers import LlamaTokenizer

from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, write

WIDTH, HEAD, DOUBLE, SINGLE_LAYERS, POSITIONS = 32, 16, 1, 2, 1024
INNER = 256


def shapes() -> Shapes:
    found: Shapes = {"register_tokens": (1, 8, WIDTH), "positional_encoding": (1, POSITIONS, WIDTH)}
    found |= linear("init_x_linear", WIDTH, 16) | linear("cond_seq_linear", WIDTH, encoders.PILE, bias=False)
    found |= linear("t_embedder.mlp.0", WIDTH, 256) | linear("t_embedder.mlp.2", WIDTH, WIDTH)
    for layer in range(DOUBLE):
        at = f"double_layers.{layer}"
        found |= _feed(f"{at}.mlpX") | _feed(f"{at}.mlpC") | _attention(f"{at}.attn", "12")
        found |= linear(f"{at}.modX.1", 6 * WIDTH, WIDTH, bias=False) | linear(
            f"{at}.modC.1", 6 * WIDTH, WIDTH, bias=False
        )
    for layer in range(SINGLE_LAYERS):
        at = f"single_layers.{layer}"
        found |= _feed(f"{at}.mlp") | _attention(f"{at}.attn", "1")
        found |= linear(f"{at}.modCX.1", 6 * WIDTH, WIDTH, bias=False)
    return found | linear("modF.1", 2 * WIDTH, WIDTH, bias=False) | linear("final_linear", 16, WIDTH, bias=False)


def _feed(at: str) -> Shapes:
    found = linear(f"{at}.c_fc1", INNER, WIDTH, bias=False) | linear(f"{at}.c_fc2", INNER, WIDTH, bias=False)
    return found | linear(f"{at}.c_proj", WIDTH, INNER, bias=False)


def _attention(at: str, streams: str) -> Shapes:
    names = [f"{at}.w{stream}{part}.weight" for stream in streams for part in "qkvo"]
    return dict.fromkeys(names, (WIDTH, WIDTH))


def original() -> Tensors:
    return fresh(shapes(), 101)


def denoiser() -> Any:
    model = AuraFlowTransformer2DModel(
        sample_size=64,
        num_mmdit_layers=DOUBLE,
        num_single_dit_layers=SINGLE_LAYERS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        joint_attention_dim=encoders.PILE,
        caption_projection_dim=WIDTH,
        pos_embed_max_size=POSITIONS,
    )
    return filled(model, convert_auraflow_transformer_checkpoint_to_diffusers(original()))


def pipeline(model: Any) -> Any:
    return AuraFlowPipeline(
        tokenizer=encoders.pieces_tokenizer(LlamaTokenizer, prefixed=True, start=False, end=True),
        text_encoder=encoders.pile_t5(),
        vae=autoencoders.sd_vae(0.13025),
        transformer=model,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
    )


def vae_file(folder: Path) -> Path:
    return write(folder / "sdxl_vae.safetensors", autoencoders.original_kl(autoencoders.sd_vae(0.13025)))


def pile_file(folder: Path) -> Path:
    return encoders.pile_file(folder / "pile_t5xl.safetensors", encoders.pile_t5())


def extra() -> Tensors:
    found = below("vae.", autoencoders.original_kl(autoencoders.sd_vae(0.13025)))
    return found | below("text_encoders.pile_t5xl.transformer.", encoders.pile_tensors(encoders.pile_t5()))


AURAFLOW = TinyFamily(
    id="auraflow-v1",
    denoiser=denoiser,
    original=original,
    convert=convert_auraflow_transformer_checkpoint_to_diffusers,
    pipeline=pipeline,
    files={"vae": vae_file, "pile_t5": pile_file},
    prefix="model.",
    extra=extra,
)
FAMILIES = (AURAFLOW,)
make = AURAFLOW.make

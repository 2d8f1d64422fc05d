"""PixArt-Σ in small: the original names, two heads of 16, T5.

diffusers has no converter for its single files; `convert` is written here from the names' meaning.
"""

from __future__ import annotations

from typing import Any

from diffusers import DPMSolverMultistepScheduler, PixArtSigmaPipeline, PixArtTransformer2DModel

from swarm.engine.words.tokenizer import t5_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.auraflow import vae_file
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import t5_file
from tests.support.tiny.weights import Shapes, Tensors, filled, fresh, linear

WIDTH, HEAD, BLOCKS = 32, 16, 2
_TOP = {
    "x_embedder.proj": "pos_embed.proj",
    "t_embedder.mlp.0": "adaln_single.emb.timestep_embedder.linear_1",
    "t_embedder.mlp.2": "adaln_single.emb.timestep_embedder.linear_2",
    "t_block.1": "adaln_single.linear",
    "y_embedder.y_proj.fc1": "caption_projection.linear_1",
    "y_embedder.y_proj.fc2": "caption_projection.linear_2",
    "final_layer.linear": "proj_out",
}
_BLOCK = {
    "attn.proj": "attn1.to_out.0",
    "cross_attn.q_linear": "attn2.to_q",
    "cross_attn.proj": "attn2.to_out.0",
    "mlp.fc1": "ff.net.0.proj",
    "mlp.fc2": "ff.net.2",
}
_FUSED = {"attn.qkv": ("attn1", "qkv"), "cross_attn.kv_linear": ("attn2", "kv")}


def shapes() -> Shapes:
    found: Shapes = {"x_embedder.proj.weight": (WIDTH, 4, 2, 2), "x_embedder.proj.bias": (WIDTH,)}
    found |= linear("t_embedder.mlp.0", WIDTH, 256) | linear("t_embedder.mlp.2", WIDTH, WIDTH)
    found |= linear("t_block.1", 6 * WIDTH, WIDTH) | {"y_embedder.y_embedding": (300, encoders.T5)}
    found |= linear("y_embedder.y_proj.fc1", WIDTH, encoders.T5) | linear("y_embedder.y_proj.fc2", WIDTH, WIDTH)
    for block in range(BLOCKS):
        at = f"blocks.{block}"
        found |= {f"{at}.scale_shift_table": (6, WIDTH)} | linear(f"{at}.attn.qkv", 3 * WIDTH, WIDTH)
        found |= linear(f"{at}.cross_attn.kv_linear", 2 * WIDTH, WIDTH)
        for name in ("attn.proj", "cross_attn.q_linear", "cross_attn.proj"):
            found |= linear(f"{at}.{name}", WIDTH, WIDTH)
        found |= linear(f"{at}.mlp.fc1", 4 * WIDTH, WIDTH) | linear(f"{at}.mlp.fc2", WIDTH, 4 * WIDTH)
    return found | linear("final_layer.linear", 32, WIDTH) | {"final_layer.scale_shift_table": (2, WIDTH)}


def original() -> Tensors:
    return fresh(shapes(), 111)


def convert(tensors: Tensors) -> Tensors:
    """The original names to diffusers'; the table of the empty prompt is for training only."""
    found: Tensors = {}
    for name, value in tensors.items():
        if name == "y_embedder.y_embedding":
            continue
        if name.startswith("blocks."):
            _, number, rest = name.split(".", 2)
            found |= _block(f"transformer_blocks.{number}", rest, value)
        elif name == "final_layer.scale_shift_table":
            found["scale_shift_table"] = value
        else:
            part, _, leaf = name.rpartition(".")
            found[f"{_TOP[part]}.{leaf}"] = value
    return found


def _block(at: str, rest: str, value: Any) -> Tensors:
    if rest == "scale_shift_table":
        return {f"{at}.{rest}": value}
    part, _, leaf = rest.rpartition(".")
    if part in _FUSED:
        attention, letters = _FUSED[part]
        pieces = value.chunk(len(letters))
        return {f"{at}.{attention}.to_{letter}.{leaf}": piece for letter, piece in zip(letters, pieces, strict=True)}
    return {f"{at}.{_BLOCK[part]}.{leaf}": value}


def denoiser() -> Any:
    model = PixArtTransformer2DModel(
        num_attention_heads=WIDTH // HEAD,
        attention_head_dim=HEAD,
        in_channels=4,
        out_channels=8,
        num_layers=BLOCKS,
        cross_attention_dim=WIDTH,
        sample_size=128,
        patch_size=2,
        caption_channels=encoders.T5,
        use_additional_conditions=False,
    )
    return filled(model, convert(original()))


def pipeline(model: Any) -> Any:
    return PixArtSigmaPipeline(
        tokenizer=t5_tokenizer(),
        text_encoder=encoders.t5(),
        vae=autoencoders.sd_vae(0.13025),
        transformer=model,
        scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02, beta_schedule="linear"),
    )


SIGMA = TinyFamily(
    id="pixart-ms-sigma-xl-2",
    denoiser=denoiser,
    original=original,
    convert=convert,
    pipeline=pipeline,
    files={"vae": vae_file, "t5xxl": t5_file},
)
FAMILIES = (SIGMA,)
make = SIGMA.make

"""Tiny CogVideoX as people have it: a transformer in diffusers' names, the VAE beside it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

from diffusers import (
    AutoencoderKLCogVideoX,
    CogVideoXDDIMScheduler,
    CogVideoXImageToVideoPipeline,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
)

from swarm.engine.words.tokenizer import t5_tokenizer
from tests.support.tiny import encoders
from tests.support.tiny.weights import refreshed, state, write

TEXT, PICTURE = "cogvideox", "cogvideox-i2v"
_TURNED = {"use_rotary_positional_embeddings": True}
_SMALL = {"sample_width": 8, "sample_height": 8, "sample_frames": 9}
_LATER = {"patch_size_t": 2, "sample_width": 300, "sample_height": 300, "max_text_seq_length": 224}
KINDS: dict[str, dict[str, Any]] = {
    "2b": _SMALL,
    "5b": {**_SMALL, **_TURNED},
    "5b-i2v": {**_SMALL, **_TURNED, "use_learned_positional_embeddings": True, "in_channels": 8},
    "1.5": {**_TURNED, **_LATER, "sample_frames": 81},
    "1.5-i2v": {**_TURNED, **_LATER, "sample_frames": 81, "in_channels": 8, "ofs_embed_dim": 32},
}
_COMFY = (
    ("transformer_blocks.", "blocks."),
    (".attn1.to_out.0.", ".attn_out."),
    (".attn1.to_", "."),
    (".attn1.norm_", ".norm_"),
    (".ff.net.0.proj.", ".ff_proj."),
    (".ff.net.2.", ".ff_out."),
    ("_embedding.linear_", "_embedding_linear_"),
)
_VAE = (
    (r"\.(down|up)_blocks\.(\d)\.resnets\.(\d)\.", r".\1.\2.block.\3."),
    (r"\.(down|up)_blocks\.(\d)\.(down|up)samplers\.0\.", r".\1.\2.\3sample."),
    (r"\.mid_block\.resnets\.0\.", ".mid.block_1."),
    (r"\.mid_block\.resnets\.1\.", ".mid.block_2."),
    (r"\.conv_shortcut\.", ".nin_shortcut."),
)


@cache
def transformer(kind: str) -> Any:
    config = {"in_channels": 4, "time_embed_dim": 32, "text_embed_dim": encoders.T5, **KINDS[kind]}
    model = CogVideoXTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, out_channels=4, num_layers=2, **config
    )
    if model.config.use_learned_positional_embeddings:
        model.patch_embed.pos_embedding = model.patch_embed.pos_embedding.half().float()
    return refreshed(model, 1)


@cache
def vae(kind: str) -> Any:
    model = AutoencoderKLCogVideoX(
        block_out_channels=(8, 8, 8, 16),
        latent_channels=4,
        layers_per_block=1,
        norm_num_groups=8,
        scaling_factor=1.15258426 if kind == "2b" else 0.7,
        invert_scale_latents=kind == "1.5-i2v",
    )
    return refreshed(model, 2)


def pipeline(kind: str) -> Any:
    made = CogVideoXImageToVideoPipeline if "i2v" in kind else CogVideoXPipeline
    scheduler = CogVideoXDDIMScheduler(
        snr_shift_scale=3.0 if kind == "2b" else 1.0,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
    )
    return made(
        transformer=transformer(kind),
        vae=vae(kind),
        text_encoder=encoders.t5(),
        tokenizer=t5_tokenizer(),
        scheduler=scheduler,
    )


def save(folder: Path, kind: str, *, prefix: str = "", respelled: bool = False) -> Path:
    """The transformer's file. Its width is too small to tell how it knows places, and what it was trained on too."""
    told = {name: KINDS[kind].get(name, False) for name in _TURNED}
    told |= {name: value for name, value in KINDS[kind].items() if name in _SMALL}
    named = state(transformer(kind)).items()
    tensors = {prefix + (_respelled(name) if respelled else name): value for name, value in named}
    return write(folder / f"cogvideox_{kind}.safetensors", tensors, {"transformer": told})


def _respelled(name: str) -> str:
    for new, old in _COMFY:
        name = name.replace(new, old)
    return name


def save_vae(folder: Path, *, published: bool = False) -> Path:
    tensors = state(vae("5b"))
    if published:
        tensors = {_published(name): value for name, value in tensors.items()}
    return write(folder / "cogvideox_vae_bf16.safetensors", tensors)


def _published(name: str) -> str:
    for new, old in _VAE:
        name = re.sub(new, old, name)
    return re.sub(r"decoder\.up\.(\d)\.", lambda found: f"decoder.up.{3 - int(found[1])}.", name)

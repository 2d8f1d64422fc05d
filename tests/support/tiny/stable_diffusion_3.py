"""Stable Diffusion 3 in small: the original joint blocks, two heads of 16, three text encoders.

`MEDIUM`: no query and key norms. `LARGE` (3.5): with them. `MEDIUM_35`: and a second attention in the first block.
Layout "single" holds the VAE and all three text encoders; `make_without_text` writes one with the VAE alone, as 3.5 is
published.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers

from swarm.engine.words.tokenizer import clip_tokenizer, t5_tokenizer
from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import clip_l_file, t5_file
from tests.support.tiny.weights import Shapes, Tensors, below, filled, fresh, linear, state, write

WIDTH, HEAD, BLOCKS, POSITIONS = 32, 16, 2, 64
POOLED = encoders.CLIP_L + encoders.CLIP_G


def shapes(*, normed: bool, dual: bool) -> Shapes:
    found: Shapes = {"pos_embed": (1, POSITIONS**2, WIDTH)}
    found |= {"x_embedder.proj.weight": (WIDTH, 16, 2, 2), "x_embedder.proj.bias": (WIDTH,)}
    for name, width in {"t_embedder": 256, "y_embedder": POOLED}.items():
        found |= linear(f"{name}.mlp.0", WIDTH, width) | linear(f"{name}.mlp.2", WIDTH, WIDTH)
    found |= linear("context_embedder", WIDTH, encoders.T5)
    for block in range(BLOCKS):
        last = block == BLOCKS - 1
        both = dual and block == 0
        found |= _side(f"joint_blocks.{block}.x_block", normed=normed, modulations=9 if both else 6)
        if both:
            found |= _attention(f"joint_blocks.{block}.x_block.attn2", normed=normed)
        found |= _side(f"joint_blocks.{block}.context_block", normed=normed, modulations=2 if last else 6)
    return found | linear("final_layer.adaLN_modulation.1", 2 * WIDTH, WIDTH) | linear("final_layer.linear", 64, WIDTH)


def _side(at: str, *, normed: bool, modulations: int) -> Shapes:
    """One half of a block. With two modulations it is the last context block, which only gives keys and values."""
    found = linear(f"{at}.adaLN_modulation.1", modulations * WIDTH, WIDTH)
    if modulations == 2:
        return found | _attention(f"{at}.attn", normed=normed, out=False)
    found |= _attention(f"{at}.attn", normed=normed)
    return found | linear(f"{at}.mlp.fc1", 4 * WIDTH, WIDTH) | linear(f"{at}.mlp.fc2", WIDTH, 4 * WIDTH)


def _attention(at: str, *, normed: bool, out: bool = True) -> Shapes:
    norms: Shapes = {f"{at}.ln_{kind}.weight": (HEAD,) for kind in "qk"} if normed else {}
    return linear(f"{at}.qkv", 3 * WIDTH, WIDTH) | (linear(f"{at}.proj", WIDTH, WIDTH) if out else {}) | norms


def original(*, normed: bool, dual: bool) -> Tensors:
    return fresh(shapes(normed=normed, dual=dual), 31)


def denoiser(*, normed: bool, dual: bool) -> Any:
    model = SD3Transformer2DModel(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=BLOCKS,
        attention_head_dim=HEAD,
        num_attention_heads=WIDTH // HEAD,
        caption_projection_dim=WIDTH,
        joint_attention_dim=encoders.T5,
        pooled_projection_dim=POOLED,
        pos_embed_max_size=POSITIONS,
        dual_attention_layers=(0,) if dual else (),
        qk_norm="rms_norm" if normed else None,
    )
    return filled(model, convert_sd3_transformer_checkpoint_to_diffusers(original(normed=normed, dual=dual)))


def pipeline(model: Any) -> Any:
    return StableDiffusion3Pipeline(
        transformer=model,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoders.sd3_vae(),
        text_encoder=encoders.clip_l(),
        tokenizer=clip_tokenizer(),
        text_encoder_2=encoders.clip_g(),
        tokenizer_2=_second_tokenizer(),
        text_encoder_3=encoders.t5(),
        tokenizer_3=t5_tokenizer(),
    )


def _second_tokenizer() -> Any:
    """OpenCLIP pads with token 0."""
    tokenizer = clip_tokenizer()
    tokenizer.pad_token = "!"
    return tokenizer


def vae_file(folder: Path) -> Path:
    return write(folder / "sd3_vae.safetensors", autoencoders.original_kl(autoencoders.sd3_vae()))


def clip_g_file(folder: Path) -> Path:
    return encoders.clip_file(folder / "clip_g.safetensors", encoders.clip_g())


def vae_tensors() -> Tensors:
    return below("first_stage_model.", autoencoders.original_kl(autoencoders.sd3_vae()))


def extra() -> Tensors:
    found = vae_tensors() | below("text_encoders.clip_l.transformer.", state(encoders.clip_l()))
    found |= below("text_encoders.clip_g.transformer.", state(encoders.clip_g()))
    return found | below("text_encoders.t5xxl.transformer.", encoders.t5_tensors(encoders.t5()))


def make_without_text(folder: Path, family: TinyFamily) -> Path:
    """One file with the denoiser and the VAE."""
    tensors = below(family.prefix, family.original()) | vae_tensors()
    return write(folder / "sd3-without-text.safetensors", tensors, {"transformer": family.config()})


def _family(id: str, *, normed: bool, dual: bool) -> TinyFamily:
    return TinyFamily(
        id=id,
        denoiser=partial(denoiser, normed=normed, dual=dual),
        original=partial(original, normed=normed, dual=dual),
        convert=convert_sd3_transformer_checkpoint_to_diffusers,
        pipeline=pipeline,
        files={"vae": vae_file, "clip_l": clip_l_file, "clip_g": clip_g_file, "t5xxl": t5_file},
        extra=extra,
    )


MEDIUM = _family("stable-diffusion-v3-medium", normed=False, dual=False)
LARGE = _family("stable-diffusion-v3.5-large", normed=True, dual=False)
MEDIUM_35 = _family("stable-diffusion-v3.5-medium", normed=True, dual=True)
FAMILIES = (MEDIUM, LARGE, MEDIUM_35)
make = MEDIUM.make

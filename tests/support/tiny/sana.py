"""Sana in small: linear attention with two heads of 32, convolutions in the feed-forward parts, Gemma 2.

The VAE's separate file has diffusers' names: that is how it is published for use with other programs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from diffusers import DPMSolverMultistepScheduler, SanaPipeline, SanaTransformer2DModel
from diffusers.loaders.single_file_utils import convert_sana_transformer_to_diffusers

from tests.support.tiny import autoencoders, encoders
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.lumina_2 import gemma_file, gemma_tokenizer
from tests.support.tiny.weights import Shapes, Tensors, filled, fresh, linear, state, write

WIDTH, HEAD, BLOCKS, POSITIONS = 64, 32, 2, 16
INNER = int(2.5 * WIDTH)


def shapes() -> Shapes:
    found: Shapes = {"pos_embed": (1, POSITIONS**2, WIDTH), "attention_y_norm.weight": (WIDTH,)}
    found |= {"x_embedder.proj.weight": (WIDTH, 32, 1, 1), "x_embedder.proj.bias": (WIDTH,)}
    found |= linear("t_embedder.mlp.0", WIDTH, 256) | linear("t_embedder.mlp.2", WIDTH, WIDTH)
    found |= linear("t_block.1", 6 * WIDTH, WIDTH) | {"y_embedder.y_embedding": (300, encoders.GEMMA)}
    found |= linear("y_embedder.y_proj.fc1", WIDTH, encoders.GEMMA) | linear("y_embedder.y_proj.fc2", WIDTH, WIDTH)
    for block in range(BLOCKS):
        at = f"blocks.{block}"
        found |= {f"{at}.scale_shift_table": (6, WIDTH)} | linear(f"{at}.attn.qkv", 3 * WIDTH, WIDTH, bias=False)
        found |= linear(f"{at}.attn.proj", WIDTH, WIDTH) | linear(f"{at}.cross_attn.q_linear", WIDTH, WIDTH)
        found |= linear(f"{at}.cross_attn.kv_linear", 2 * WIDTH, WIDTH) | linear(f"{at}.cross_attn.proj", WIDTH, WIDTH)
        found |= {
            f"{at}.mlp.inverted_conv.conv.weight": (2 * INNER, WIDTH, 1, 1),
            f"{at}.mlp.inverted_conv.conv.bias": (2 * INNER,),
            f"{at}.mlp.depth_conv.conv.weight": (2 * INNER, 1, 3, 3),
            f"{at}.mlp.depth_conv.conv.bias": (2 * INNER,),
            f"{at}.mlp.point_conv.conv.weight": (WIDTH, INNER, 1, 1),
        }
    return found | linear("final_layer.linear", 32, WIDTH) | {"final_layer.scale_shift_table": (2, WIDTH)}


def original() -> Tensors:
    return fresh(shapes(), 91)


def denoiser() -> Any:
    model = SanaTransformer2DModel(
        num_attention_heads=WIDTH // HEAD,
        attention_head_dim=HEAD,
        num_layers=BLOCKS,
        num_cross_attention_heads=WIDTH // HEAD,
        cross_attention_head_dim=HEAD,
        cross_attention_dim=WIDTH,
        caption_channels=encoders.GEMMA,
        sample_size=32,
    )
    return filled(model, convert_sana_transformer_to_diffusers(original()))


def pipeline(model: Any) -> Any:
    return SanaPipeline(
        tokenizer=gemma_tokenizer(),
        text_encoder=encoders.gemma2(),
        vae=autoencoders.sana_vae(),
        transformer=model,
        scheduler=DPMSolverMultistepScheduler(
            prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0, final_sigmas_type="zero"
        ),
    )


def vae_file(folder: Path) -> Path:
    return write(folder / "sana_dc_ae.safetensors", state(autoencoders.sana_vae()))


SANA = TinyFamily(
    id="nvidia-sana-1600",
    denoiser=denoiser,
    original=original,
    convert=convert_sana_transformer_to_diffusers,
    pipeline=pipeline,
    files={"vae": vae_file, "gemma2": gemma_file},
)
FAMILIES = (SANA,)
make = SANA.make

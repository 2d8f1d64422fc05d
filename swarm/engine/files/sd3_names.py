"""Stable Diffusion 3's transformer: names of the original layout, and the config that its shapes tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count

MARKERS = ("joint_blocks.0.x_block.attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight")
_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_HEAD = 64


@lru_cache(maxsize=16)
def sd3_names(blocks: int) -> Renaming:
    """The table for so many blocks. The last block's context half is swapped like the final layer."""
    modules = dict(_around()) | dict(entry for n in range(blocks) for entry in _block(n))
    last = f"transformer_blocks.{blocks - 1}.norm1_context.linear"
    return Renaming(
        modules=modules,
        swapped=frozenset({"norm_out.linear", last}),
        whole={"pos_embed": "pos_embed.pos_embed"},
    )


def _around() -> Iterator[Entry]:
    yield "x_embedder.proj", ("pos_embed.proj",)
    for old, new in (("t_embedder", "timestep_embedder"), ("y_embedder", "text_embedder")):
        yield f"{old}.mlp.0", (f"time_text_embed.{new}.linear_1",)
        yield f"{old}.mlp.2", (f"time_text_embed.{new}.linear_2",)
    yield "final_layer.linear", ("proj_out",)
    yield "final_layer.adaLN_modulation.1", ("norm_out.linear",)


def _block(n: int) -> Iterator[Entry]:
    old, new = f"joint_blocks.{n}.", f"transformer_blocks.{n}."
    for side, ending, qkv, norm, out in (
        ("x_block", "", _QKV, "norm", "to_out.0"),
        ("context_block", "_context", _ADDED, "norm_added", "to_add_out"),
    ):
        yield f"{old}{side}.adaLN_modulation.1", (f"{new}norm1{ending}.linear",)
        yield f"{old}{side}.attn.qkv", tuple(f"{new}attn.{part}" for part in qkv)
        yield f"{old}{side}.attn.ln_q", (f"{new}attn.{norm}_q",)
        yield f"{old}{side}.attn.ln_k", (f"{new}attn.{norm}_k",)
        yield f"{old}{side}.attn.proj", (f"{new}attn.{out}",)
        yield f"{old}{side}.mlp.fc1", (f"{new}ff{ending}.net.0.proj",)
        yield f"{old}{side}.mlp.fc2", (f"{new}ff{ending}.net.2",)
    second = f"{old}x_block.attn2."
    yield f"{second}qkv", tuple(f"{new}attn2.{part}" for part in _QKV)
    yield f"{second}ln_q", (f"{new}attn2.norm_q",)
    yield f"{second}ln_k", (f"{new}attn2.norm_k",)
    yield f"{second}proj", (f"{new}attn2.to_out.0",)


def sd3_config(shapes: Shapes) -> dict[str, Any]:
    """SD3Transformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs, patch = either(shapes, "x_embedder.proj.weight", "pos_embed.proj.weight")[:3]
    positions = either(shapes, "pos_embed", "pos_embed.pos_embed")[1]
    blocks = count(shapes, r"(?:joint_blocks|transformer_blocks)\.(\d+)\.")
    caption, text = either(shapes, "context_embedder.weight")
    norm = shapes.get("joint_blocks.0.x_block.attn.ln_q.weight", shapes.get("transformer_blocks.0.attn.norm_q.weight"))
    head = norm[0] if norm else _HEAD
    twice = ("joint_blocks.{}.x_block.attn2.qkv.weight", "transformer_blocks.{}.attn2.to_q.weight")
    out = either(shapes, "final_layer.linear.weight", "proj_out.weight")[0]
    return {
        "patch_size": patch,
        "in_channels": inputs,
        "out_channels": out // patch**2,
        "num_layers": blocks,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "caption_projection_dim": caption,
        "joint_attention_dim": text,
        "pooled_projection_dim": either(
            shapes, "y_embedder.mlp.0.weight", "time_text_embed.text_embedder.linear_1.weight"
        )[1],
        "pos_embed_max_size": int(positions**0.5),
        "sample_size": 128,
        "qk_norm": "rms_norm" if norm else None,
        "dual_attention_layers": tuple(
            block for block in range(blocks) if any(name.format(block) in shapes for name in twice)
        ),
    }

"""Flux.2's transformer: names of the original layout, and the config that its shapes tell. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from swarm.engine.files.flux_names import Entry, block_counts, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes

MARKERS = ("double_blocks.0.img_attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight")
_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")
_AXES = 4


@lru_cache(maxsize=16)
def flux_2_names(double: int, single: int) -> Renaming:
    """The table for so many double and single blocks."""
    entries = [*_around(), *(entry for n in range(double) for entry in _double(n))]
    entries += [entry for n in range(single) for entry in _single(n)]
    return Renaming(modules=dict(entries), swapped=frozenset({"norm_out.linear"}))


def _around() -> Iterator[Entry]:
    for old, new in (("time_in", "timestep"), ("guidance_in", "guidance")):
        for number, part in enumerate(("in", "out"), 1):
            yield f"{old}.{part}_layer", (f"time_guidance_embed.{new}_embedder.linear_{number}",)
    for stream in ("double_stream_modulation_img", "double_stream_modulation_txt", "single_stream_modulation"):
        yield f"{stream}.lin", (f"{stream}.linear",)
    yield "txt_in", ("context_embedder",)
    yield "img_in", ("x_embedder",)
    yield "final_layer.linear", ("proj_out",)
    yield "final_layer.adaLN_modulation.1", ("norm_out.linear",)


def _double(n: int) -> Iterator[Entry]:
    old, new = f"double_blocks.{n}.", f"transformer_blocks.{n}."
    for side, ending, qkv, norm, out in (
        ("img", "", _QKV, "norm", "to_out.0"),
        ("txt", "_context", _ADDED, "norm_added", "to_add_out"),
    ):
        yield f"{old}{side}_attn.qkv", tuple(f"{new}attn.{part}" for part in qkv)
        yield f"{old}{side}_attn.norm.query_norm", (f"{new}attn.{norm}_q",)
        yield f"{old}{side}_attn.norm.key_norm", (f"{new}attn.{norm}_k",)
        yield f"{old}{side}_attn.proj", (f"{new}attn.{out}",)
        yield f"{old}{side}_mlp.0", (f"{new}ff{ending}.linear_in",)
        yield f"{old}{side}_mlp.2", (f"{new}ff{ending}.linear_out",)


def _single(n: int) -> Iterator[Entry]:
    old, new = f"single_blocks.{n}.", f"single_transformer_blocks.{n}.attn."
    yield f"{old}linear1", (f"{new}to_qkv_mlp_proj",)
    yield f"{old}linear2", (f"{new}to_out",)
    yield f"{old}norm.query_norm", (f"{new}norm_q",)
    yield f"{old}norm.key_norm", (f"{new}norm_k",)


def flux_2_config(shapes: Shapes) -> dict[str, Any]:
    """Flux2Transformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs = either(shapes, "img_in.weight", "x_embedder.weight")
    head = either(shapes, "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
    inner = either(shapes, "double_blocks.0.img_mlp.2.weight", "transformer_blocks.0.ff.linear_out.weight")[1]
    double, single = block_counts(shapes)
    return {
        "in_channels": inputs,
        "out_channels": either(shapes, "final_layer.linear.weight", "proj_out.weight")[0],
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": head[0],
        "num_attention_heads": width // head[0],
        "joint_attention_dim": either(shapes, "txt_in.weight", "context_embedder.weight")[1],
        "mlp_ratio": inner / width,
        "axes_dims_rope": (head[0] // _AXES,) * _AXES,
        "guidance_embeds": any("guidance_in." in name or "guidance_embedder." in name for name in shapes),
    }

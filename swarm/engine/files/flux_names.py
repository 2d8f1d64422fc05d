"""Flux.1's transformer: names of the original layout, and the config that its shapes tell. Chroma's too. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from swarm.base.errors import BadInput
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count

MARKERS = ("double_blocks.0.img_attn.qkv.weight", "transformer_blocks.0.attn.add_q_proj.weight")
"""Tensors by which the place of the denoiser in a file is found, in either layout."""
_ROTARY_SHARE = 8
_QKV = ("to_q", "to_k", "to_v")
_ADDED = ("add_q_proj", "add_k_proj", "add_v_proj")

Entry = tuple[str, tuple[str, ...]]


@lru_cache(maxsize=16)
def flux_names(double: int, single: int) -> Renaming:
    """The table for so many double and single blocks."""
    entries = [*_around(), *(entry for n in range(double) for entry in _double(n))]
    entries += [entry for n in range(single) for entry in _single(n)]
    return Renaming(modules=dict(entries), swapped=frozenset({"norm_out.linear"}))


def _around() -> Iterator[Entry]:
    for old, new in (("time_in", "timestep"), ("vector_in", "text"), ("guidance_in", "guidance")):
        for number, part in enumerate(("in", "out"), 1):
            yield f"{old}.{part}_layer", (f"time_text_embed.{new}_embedder.linear_{number}",)
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
        yield f"{old}{side}_mod.lin", (f"{new}norm1{ending}.linear",)
        yield f"{old}{side}_attn.qkv", tuple(f"{new}attn.{part}" for part in qkv)
        yield f"{old}{side}_attn.norm.query_norm", (f"{new}attn.{norm}_q",)
        yield f"{old}{side}_attn.norm.key_norm", (f"{new}attn.{norm}_k",)
        yield f"{old}{side}_attn.proj", (f"{new}attn.{out}",)
        yield f"{old}{side}_mlp.0", (f"{new}ff{ending}.net.0.proj",)
        yield f"{old}{side}_mlp.2", (f"{new}ff{ending}.net.2",)


def _single(n: int) -> Iterator[Entry]:
    old, new = f"single_blocks.{n}.", f"single_transformer_blocks.{n}."
    yield f"{old}modulation.lin", (f"{new}norm.linear",)
    yield f"{old}linear1", (*(f"{new}attn.{part}" for part in _QKV), f"{new}proj_mlp")
    yield f"{old}linear2", (f"{new}proj_out",)
    yield f"{old}norm.query_norm", (f"{new}attn.norm_q",)
    yield f"{old}norm.key_norm", (f"{new}attn.norm_k",)


def block_counts(shapes: Shapes) -> tuple[int, int]:
    """(double, single) blocks, in either layout."""
    double = count(shapes, r"(?:double_blocks|transformer_blocks)\.(\d+)\.")
    return double, count(shapes, r"(?:single_blocks|single_transformer_blocks)\.(\d+)\.")


def flux_config(shapes: Shapes) -> dict[str, Any]:
    """FluxTransformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs = either(shapes, "img_in.weight", "x_embedder.weight")
    head = either(shapes, "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
    double, single = block_counts(shapes)
    pooled = either(shapes, "vector_in.in_layer.weight", "time_text_embed.text_embedder.linear_1.weight")
    return {
        "in_channels": inputs,
        "out_channels": either(shapes, "final_layer.linear.weight", "proj_out.weight")[0],
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": head[0],
        "num_attention_heads": width // head[0],
        "joint_attention_dim": either(shapes, "txt_in.weight", "context_embedder.weight")[1],
        "pooled_projection_dim": pooled[1],
        "guidance_embeds": any("guidance_in." in name or "guidance_embedder." in name for name in shapes),
        "axes_dims_rope": rotary_axes(head[0]),
    }


def chroma_config(shapes: Shapes) -> dict[str, Any]:
    """ChromaTransformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, inputs = either(shapes, "img_in.weight", "x_embedder.weight")
    head = either(shapes, "double_blocks.0.img_attn.norm.query_norm.scale", "transformer_blocks.0.attn.norm_q.weight")
    guide = either(shapes, "distilled_guidance_layer.in_proj.weight")
    double, single = block_counts(shapes)
    return {
        "in_channels": inputs,
        "out_channels": either(shapes, "final_layer.linear.weight", "proj_out.weight")[0],
        "num_layers": double,
        "num_single_layers": single,
        "attention_head_dim": head[0],
        "num_attention_heads": width // head[0],
        "joint_attention_dim": either(shapes, "txt_in.weight", "context_embedder.weight")[1],
        "axes_dims_rope": rotary_axes(head[0]),
        "approximator_num_channels": guide[1],
        "approximator_hidden_dim": guide[0],
        "approximator_layers": count(shapes, r"distilled_guidance_layer\.layers\.(\d+)\."),
    }


@lru_cache(maxsize=16)
def chroma_names(double: int, single: int, guide: int) -> Renaming:
    """Flux's table, and the small network that gives all blocks their modulations."""
    at = "distilled_guidance_layer"
    own: dict[str, tuple[str, ...]] = {}
    for n in range(guide):
        own[f"{at}.layers.{n}.in_layer"] = (f"{at}.layers.{n}.linear_1",)
        own[f"{at}.layers.{n}.out_layer"] = (f"{at}.layers.{n}.linear_2",)
        own[f"{at}.norms.{n}"] = (f"{at}.norms.{n}",)
    return Renaming(modules={**flux_names(double, single).modules, **own})


def rotary_axes(head: int) -> tuple[int, int, int]:
    """How a head's width is shared among the three position axes: an eighth for the first, the rest for two, all even.

    16, 56, 56 of 128.
    """
    first = head // _ROTARY_SHARE // 2 * 2
    while (head - first) % 4:
        first += 2
    return first, (head - first) // 2, (head - first) // 2


def either(shapes: Shapes, *names: str) -> tuple[int, ...]:
    """The shape of the first of `names` that is there. Raises BadInput."""
    for name in names:
        if name in shapes:
            return shapes[name]
    raise BadInput(f"This file's denoiser lacks the tensor '{names[0]}'; it is not complete.")

"""Reads AuraFlow models: one file with everything, the transformer alone beside its companions, diffusers folders."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from math import isqrt
from typing import Any

import torch
from diffusers import AuraFlowTransformer2DModel

from swarm.engine.components import Parts, Source, TextOptions
from swarm.engine.denoisers import transformer_of, wide
from swarm.engine.files.flux_names import Entry, either
from swarm.engine.files.renaming import Renaming
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.packing import PATCH
from swarm.engine.vaes.image_vae import find_vae
from swarm.engine.words.language_models import widths_fit
from swarm.engine.words.text import Remembering
from swarm.engine.words.text_pile import PileEncoder, pile
from swarm.jobs.stage import Conditioning

_MARKERS = ("cond_seq_linear.weight", "context_embedder.weight")
_HEADS = (256, 16)
"""Channels of a head: of the published models, and of small ones."""
SHORTEST = 256
"""Tokens a prompt is filled up to, with zeros."""
BEHIND = 768
"""Zeros that follow every prompt instead where Pile-T5 has a file of its own, as in SwarmUI."""


class AuraflowText(Remembering):
    """Pile-T5's tokens; what is filled up is seen, and is zero. `apart`: Pile-T5 has a file of its own."""

    def __init__(self, words: PileEncoder, *, apart: bool) -> None:
        super().__init__()
        self._words = words
        self._apart = apart

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        tokens = self._words.encode(text, options.stop_at_layer)
        missing = BEHIND if self._apart else max(0, SHORTEST - tokens.shape[1])
        return Conditioning(tokens=torch.nn.functional.pad(tokens, (0, 0, 0, missing)))


class Places(torch.nn.Module):
    """The patches with their learned places, a square of which the middle is used, as ComfyUI counts it. Pictures that
    are larger than what was learned get the square stretched."""

    def __init__(self, embedder: Any) -> None:
        super().__init__()
        self.proj, self.pos_embed = embedder.proj, embedder.pos_embed

    def forward(self, latent: torch.Tensor) -> torch.Tensor:
        count, channels, height, width = latent.shape
        rows, columns = height // PATCH, width // PATCH
        cells = latent.view(count, channels, rows, PATCH, columns, PATCH).permute(0, 2, 4, 1, 3, 5)
        patches: torch.Tensor = self.proj(cells.flatten(-3).flatten(1, 2))
        return patches + self._table(rows, columns)

    def _table(self, rows: int, columns: int) -> torch.Tensor:
        side = isqrt(self.pos_embed.shape[1])
        table = self.pos_embed.view(1, side, side, -1)
        if max(rows, columns) > side:
            side = max(rows, columns)
            stretched = torch.nn.functional.interpolate(table.movedim(-1, 1).float(), (side, side), mode="bilinear")
            table = stretched.movedim(1, -1).to(self.pos_embed.dtype)
        top, left = (side - rows) // 2, (side - columns) // 2
        return table[:, top : top + rows, left : left + columns].flatten(1, 2)


def load(source: Source) -> Parts:
    """The parts of an AuraFlow model. Raises BadInput."""
    dtype = wide(source.device)
    transformer, (words, tokenizer) = _transformer(source, dtype), pile(source, dtype)
    widths_fit(source.file.name, int(words.config.d_model), int(transformer.config.joint_attention_dim))
    transformer.pos_embed = Places(transformer.pos_embed)
    return Parts(
        denoiser=transformer,
        vae=find_vae(source),
        text=AuraflowText(PileEncoder(words, tokenizer, source.device.place), apart="pile_t5" in source.parts),
        text_modules=(words,),
        compute=dtype,
    )


def _transformer(source: Source, dtype: torch.dtype) -> Any:
    return transformer_of(
        source,
        AuraFlowTransformer2DModel,
        _MARKERS,
        auraflow_config,
        lambda shapes: auraflow_names(*layer_counts(shapes)),
        dtype,
    )


def layer_counts(shapes: Shapes) -> tuple[int, int]:
    """(layers of two streams, layers of one), in either layout."""
    double = count(shapes, r"(?:double_layers|joint_transformer_blocks)\.(\d+)\.")
    return double, count(shapes, r"(?:single_layers|single_transformer_blocks)\.(\d+)\.")


@lru_cache(maxsize=16)
def auraflow_names(double: int, single: int) -> Renaming:
    """The table for so many layers of two streams and of one."""
    entries = [*_around(), *(entry for number in range(double) for entry in _double(number))]
    entries += [entry for number in range(single) for entry in _single(number)]
    whole = {"positional_encoding": "pos_embed.pos_embed"}
    return Renaming(modules=dict(entries), whole=whole, swapped=frozenset({"norm_out.linear"}))


def _around() -> Iterator[Entry]:
    yield "init_x_linear", ("pos_embed.proj",)
    yield "cond_seq_linear", ("context_embedder",)
    yield "t_embedder.mlp.0", ("time_step_proj.linear_1",)
    yield "t_embedder.mlp.2", ("time_step_proj.linear_2",)
    yield "modF.1", ("norm_out.linear",)
    yield "final_linear", ("proj_out",)


def _double(number: int) -> Iterator[Entry]:
    old, new = f"double_layers.{number}.", f"joint_transformer_blocks.{number}."
    for letter, ending in (("X", ""), ("C", "_context")):
        yield f"{old}mod{letter}.1", (f"{new}norm1{ending}.linear",)
        yield from _feed(f"{old}mlp{letter}.", f"{new}ff{ending}.")
    for part in "qkv":
        yield f"{old}attn.w2{part}", (f"{new}attn.to_{part}",)
        yield f"{old}attn.w1{part}", (f"{new}attn.add_{part}_proj",)
    yield f"{old}attn.w2o", (f"{new}attn.to_out.0",)
    yield f"{old}attn.w1o", (f"{new}attn.to_add_out",)


def _single(number: int) -> Iterator[Entry]:
    old, new = f"single_layers.{number}.", f"single_transformer_blocks.{number}."
    yield f"{old}modCX.1", (f"{new}norm1.linear",)
    yield from _feed(f"{old}mlp.", f"{new}ff.")
    for part in "qkv":
        yield f"{old}attn.w1{part}", (f"{new}attn.to_{part}",)
    yield f"{old}attn.w1o", (f"{new}attn.to_out.0",)


def _feed(old: str, new: str) -> Iterator[Entry]:
    yield f"{old}c_fc1", (f"{new}linear_1",)
    yield f"{old}c_fc2", (f"{new}linear_2",)
    yield f"{old}c_proj", (f"{new}out_projection",)


def auraflow_config(shapes: Shapes) -> dict[str, Any]:
    """AuraFlowTransformer2DModel's config from names and shapes in either layout. Raises BadInput."""
    width, told = either(shapes, "cond_seq_linear.weight", "context_embedder.weight")
    double, single = layer_counts(shapes)
    head = next((size for size in _HEADS if width % size == 0), width)
    channels = either(shapes, "final_linear.weight", "proj_out.weight")[0] // PATCH**2
    return {
        "patch_size": PATCH,
        "in_channels": channels,
        "out_channels": channels,
        "num_mmdit_layers": double,
        "num_single_dit_layers": single,
        "attention_head_dim": head,
        "num_attention_heads": width // head,
        "joint_attention_dim": told,
        "caption_projection_dim": width,
        "pos_embed_max_size": either(shapes, "positional_encoding", "pos_embed.pos_embed")[1],
    }

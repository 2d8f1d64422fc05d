"""Reads text encoders by slot (`clip_l`, `clip_g`, `t5xxl`): the file the request gives, else the model's own.

A model file keeps them below its own prefixes; files of their own have none, or transformers' `text_model.`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, T5Config, T5EncoderModel

from swarm.architectures.companions import Companion
from swarm.base.errors import BadInput
from swarm.engine.components import Source
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.keys import open_clip_key
from swarm.engine.files.shapes import clip_config, t5_config
from swarm.engine.loader import Config, Named, fill, unloadable

ALONE = ("", "text_model.", "transformer.text_model.", "transformer.", "text_encoder.", "model.")
"""Prefixes in files that hold one text encoder."""
_CLIP_MARKER, _OPEN_CLIP_MARKER = "embeddings.token_embedding.weight", "token_embedding.weight"
T5_MARKERS = ("encoder.block.0.layer.0.SelfAttention.q.weight", "enc.blk.0.attn_q.weight")
_T5_GGUF = (
    ("enc.blk.", "encoder.block."), ("attn_q.", "layer.0.SelfAttention.q."), ("attn_k.", "layer.0.SelfAttention.k."),
    ("attn_v.", "layer.0.SelfAttention.v."), ("attn_o.", "layer.0.SelfAttention.o."),
    ("attn_rel_b.", "layer.0.SelfAttention.relative_attention_bias."), ("attn_norm.", "layer.0.layer_norm."),
    ("ffn_gate.", "layer.1.DenseReluDense.wi_0."), ("ffn_up.", "layer.1.DenseReluDense.wi_1."),
    ("ffn_down.", "layer.1.DenseReluDense.wo."), ("ffn_norm.", "layer.1.layer_norm."),
    ("enc.output_norm.", "encoder.final_layer_norm."), ("token_embd.", "shared."),
)  # fmt: skip
"""llama.cpp's names of T5's layers."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """Where a text encoder is: below `prefix` of `file`. `own`: config entries that win over what shapes tell."""

    file: Checkpoint
    prefix: str
    own: Config


def find_encoder(
    source: Source,
    slot: str,
    prefixes: Sequence[str],
    markers: Sequence[str],
    own: str,
    alone: Sequence[str] = ALONE,
) -> Found | None:
    """The text encoder of a slot; None when no file has it. `prefixes`: where the model file would keep it, `alone`: a
    file of its own. `own`: its name among the configs a model file may bring. Raises BadInput for a given file that
    holds none."""
    part = source.parts.get(slot)
    if part is not None:
        file = Checkpoint(part.path)
        prefix = file.prefix((*alone, *prefixes), *markers)
        if prefix is None:
            raise BadInput(f"The text encoder file '{part.name}' holds no {slot} text encoder.")
        return Found(file=file, prefix=prefix, own=file.config().get(own, {}))
    if source.checkpoint is None:
        return None
    prefix = source.checkpoint.prefix(prefixes, *markers)
    if prefix is None:
        return None
    return Found(file=source.checkpoint, prefix=prefix, own=source.checkpoint.config().get(own, {}))


def lacking(source: Source, companion: Companion) -> BadInput:
    """The error for a component that no file has."""
    return BadInput(
        f"The model '{source.file.name}' comes without its {companion.what}, and none was found. Put "
        f"'{companion.file}' into the folder models/{companion.folder} and refresh the model list."
    )


def clip_l(
    source: Source, prefixes: Sequence[str], dtype: torch.dtype, *, own: str = "text_encoder"
) -> CLIPTextModel | None:
    """CLIP-L, without a projection: what reads it wants the plain summary."""
    found = find_encoder(source, "clip_l", prefixes, (_CLIP_MARKER,), own)
    if found is None:
        return None
    config = clip_config(found.file.below(found.prefix), activation="quick_gelu") | found.own
    with init_empty_weights(include_buffers=False):
        model = CLIPTextModel(CLIPTextConfig(**config))
    fill(model, found.file.path.name, found.file.tensors_below(found.prefix), dtype)
    return model


def clip_big(
    source: Source, slot: str, prefixes: Sequence[str], dtype: torch.dtype, *, own: str
) -> CLIPTextModelWithProjection | None:
    """OpenCLIP's text encoders (G, H) with their projection, in OpenCLIP's or in transformers' names."""
    found = find_encoder(source, slot, prefixes, (_CLIP_MARKER, _OPEN_CLIP_MARKER), own)
    if found is None:
        return None
    named = list(_big_tensors(found))
    shapes = {key: tuple(tensor.shape) for key, tensor in named}
    with init_empty_weights(include_buffers=False):
        config = clip_config(shapes, activation="gelu") | found.own
        model = CLIPTextModelWithProjection(CLIPTextConfig(**config))
    wrapped = ((key if key.startswith("text_projection") else f"text_model.{key}", tensor) for key, tensor in named)
    fill(model, found.file.path.name, wrapped, dtype)
    return model


def _big_tensors(found: Found) -> Iterator[tuple[str, torch.Tensor]]:
    file, prefix = found.file, found.prefix
    if prefix + _CLIP_MARKER not in file.shapes:
        yield from renamed(file.tensors_below(prefix))
        return
    yield from file.tensors_below(prefix)
    projection = prefix.removesuffix("text_model.") + "text_projection.weight"
    if prefix.endswith("text_model.") and projection in file.shapes:
        yield "text_projection.weight", file.tensor(projection)


def renamed(tensors: Named) -> Iterator[tuple[str, torch.Tensor]]:
    """OpenCLIP tensors in transformers' names: fused projections cut in three, the text projection transposed."""
    for name, tensor in tensors:
        key = open_clip_key(name)
        if key is None:
            continue
        if key == "text_projection.weight":
            yield key, tensor.T.contiguous()
        elif ".attn.in_proj_" in key:
            home, end = key.split(".attn.in_proj_")
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{home}.self_attn.{part}_proj.{end}", piece.contiguous()
        else:
            yield key, tensor


def t5(source: Source, prefixes: Sequence[str], dtype: torch.dtype) -> T5EncoderModel | None:
    """T5 v1.1's encoder."""
    found = find_encoder(source, "t5xxl", prefixes, T5_MARKERS, "text_encoder_3")
    if found is None:
        return None
    shapes = {t5_name(name): shape for name, shape in found.file.below(found.prefix).items()}
    with init_empty_weights(include_buffers=False):
        model = T5EncoderModel(T5Config(**(t5_config(shapes) | found.own)))
    tensors = ((t5_name(name), tensor) for name, tensor in found.file.tensors_below(found.prefix))
    fill(model, found.file.path.name, tensors, dtype)
    model.tie_weights()
    return model


def t5_name(name: str) -> str:
    if not name.startswith(("enc.", "token_embd.")):
        return "shared.weight" if name == "encoder.embed_tokens.weight" else name
    for old, new in _T5_GGUF:
        name = name.replace(old, new)
    return name


def from_folder(kind: Any, path: Path, dtype: torch.dtype) -> Any:
    """A component of a diffusers folder, sharded or not. Raises BadInput."""
    try:
        return kind.from_pretrained(path, local_files_only=True, dtype=dtype)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadInput(unloadable(path, error)) from None

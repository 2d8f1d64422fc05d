"""What the loaders of the transformer families share: finding the denoiser in a file, filling it, number formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.components import Row, Source, kind_of
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.renaming import DENOISER_PREFIXES, Renaming, expected_shapes
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import built, fill
from swarm.engine.words.encoders import from_folder

CELLS_PER_PATCH = 4
_WIDE_MAPS = 2
"""Attention inputs and the feed-forward layers hold about this many times more than a UNet's maps of one width."""


def wide(device: Device) -> torch.dtype:
    """The number format for networks whose activations leave float16's range: T5, Flux, Stable Diffusion 3."""
    return torch.bfloat16 if device.compute is torch.float16 else device.compute


def denoiser_prefix(checkpoint: Checkpoint, markers: tuple[str, ...]) -> str:
    """What the denoiser's names begin with in a file. Raises BadInput."""
    prefix = checkpoint.prefix(DENOISER_PREFIXES, *markers)
    if prefix is None:
        raise BadInput(f"The model file '{checkpoint.path.name}' holds no denoiser of the family it is said to be of.")
    return prefix


def filled(
    kind: Any, config: Mapping[str, Any], checkpoint: Checkpoint, prefix: str, names: Renaming, dtype: torch.dtype
) -> torch.nn.Module:
    """A transformer with the weights of a file; what the file says of its config wins. Raises BadInput."""
    module: torch.nn.Module = built(kind, {**config, **checkpoint.config().get("transformer", {})})
    tensors = names.tensors(checkpoint.tensors_below(prefix), expected_shapes(module))
    fill(module, checkpoint.path.name, tensors, dtype)
    return module


def transformer_of(
    source: Source,
    kind: Any,
    markers: tuple[str, ...],
    config: Callable[[Shapes], Mapping[str, Any]],
    names: Callable[[Shapes], Renaming],
    dtype: torch.dtype,
) -> Any:
    """A family's transformer, of diffusers' class `kind`: from its folder, else from a file in any of its layouts.

    `markers`: tensors that only this family's transformer has. `config`, `names`: by the shapes below the prefix that
    they are found under. Raises BadInput.
    """
    if source.folder is not None:
        return from_folder(kind, source.folder / "transformer", dtype)
    assert source.checkpoint is not None
    prefix = denoiser_prefix(source.checkpoint, markers)
    shapes = source.checkpoint.below(prefix)
    return filled(kind, config(shapes), source.checkpoint, prefix, names(shapes), dtype)


def row_width(transformer: Any) -> int:
    """The width of a row's largest map, of transformers that say how many heads of which size they have."""
    config = transformer.config
    return token_width(int(config.num_attention_heads * config.attention_head_dim))


def token_width(width: int) -> int:
    """The width of a row's largest map, reckoned per latent cell: a patch of four cells is one token of `width`."""
    return width * _WIDE_MAPS // CELLS_PER_PATCH


def any_lengths(rows: Sequence[Row]) -> list[list[int]]:
    """`together` of denoisers that take prompts of any length in one call."""
    calls: dict[object, list[int]] = {}
    for position, row in enumerate(rows):
        calls.setdefault(kind_of(row), []).append(position)
    return list(calls.values())


def filled_up(rows: Sequence[Row]) -> tuple[torch.Tensor, torch.Tensor | None]:
    """The prompts' tokens (n, longest, width), and which of them are words (n, longest); None when all are."""
    lengths = [int(row.conditioning.tokens.shape[1]) for row in rows]
    longest = max(lengths)
    tokens = [
        torch.nn.functional.pad(row.conditioning.tokens, (0, 0, 0, longest - length))
        for row, length in zip(rows, lengths, strict=True)
    ]
    said = torch.arange(longest) < torch.tensor(lengths)[:, None]
    return torch.cat(tokens), None if min(lengths) == longest else said

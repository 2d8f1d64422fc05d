"""How Qwen 2.5 VL sees pictures among the words of a prompt: a tower that turns them into states, and their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from PIL import Image
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from swarm.engine.encoders import Found
from swarm.engine.loader import Config, fill
from swarm.engine.shapes import Shapes, count

_HOMES = ("visual.", "model.visual.")
_MARKER = "patch_embed.proj.weight"
_HEAD = 80
_WHOLE_VIEWS = 4
"""How many blocks look at the whole picture and not at windows of it."""
_MERGED = 2
"""Patches in a row and in a column that become one state."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """One picture. `states`: (rows * columns, width)."""

    states: torch.Tensor
    rows: int
    columns: int


class QwenEyes:
    """The tower with the preparation of its pictures."""

    def __init__(self, tower: Any, device: torch.device) -> None:
        self.tower = tower
        self._device = device
        self._prepared = Qwen2VLImageProcessorPil()

    def look(self, pictures: Sequence[Image.Image]) -> list[Seen]:
        """Each picture at the size it has, to whole patches."""
        read = self._prepared(images=list(pictures), return_tensors="pt")
        grids = read["image_grid_thw"]
        states = self.tower(
            read["pixel_values"].to(self._device, self.tower.dtype), grid_thw=grids.to(self._device)
        ).pooler_output
        sides = [(int(rows) // _MERGED, int(columns) // _MERGED) for _, rows, columns in grids.tolist()]
        parts = states.split([rows * columns for rows, columns in sides])
        return [
            Seen(states=part, rows=rows, columns=columns) for part, (rows, columns) in zip(parts, sides, strict=True)
        ]


def read_tower(words: Found, dtype: torch.dtype) -> Any:
    """The tower of the file that the language model is in; None where it comes without (GGUF)."""
    outer = words.prefix.removesuffix("language_model.").removesuffix("model.")
    prefix = words.file.prefix((*(outer + home for home in _HOMES), *_HOMES), _MARKER)
    if prefix is None:
        return None
    config = tower_config(words.file.below(prefix)) | words.file.config().get("vision", {})
    with init_empty_weights(include_buffers=False):
        tower = Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**config))
    fill(tower, words.file.path.name, words.file.tensors_below(prefix), dtype)
    return tower


def tower_config(shapes: Shapes) -> Config:
    """Qwen2_5_VLVisionConfig's entries from names and shapes."""
    width, channels, frames, patch, _ = shapes[_MARKER]
    depth = count(shapes, r"blocks\.(\d+)\.")
    step = max(2, depth // _WHOLE_VIEWS)
    return {
        "depth": depth,
        "hidden_size": width,
        "intermediate_size": shapes["blocks.0.mlp.gate_proj.weight"][0],
        "num_heads": max(1, width // _HEAD),
        "in_channels": channels,
        "patch_size": patch,
        "temporal_patch_size": frames,
        "out_hidden_size": shapes["merger.mlp.2.weight"][0],
        "fullatt_block_indexes": list(range(step - 1, depth, step)),
        "window_size": 112,
    }


def places(is_picture: Sequence[bool], seen: Sequence[Seen]) -> torch.Tensor:
    """(3, 1, length): the place of each token in time, row and column. Words lie on the diagonal, a picture in a plane
    at the place where it begins, and the words after it as far on as its longer side. `is_picture`: per token."""
    found: list[torch.Tensor] = []
    left, position, index = list(seen), 0, 0
    while index < len(is_picture):
        if not is_picture[index]:
            found.append(torch.full((3, 1), position))
            position, index = position + 1, index + 1
            continue
        picture = left.pop(0)
        zero = torch.zeros(1, dtype=torch.long)
        grid = torch.cartesian_prod(zero, torch.arange(picture.rows), torch.arange(picture.columns))
        found.append(grid.T + position)
        position, index = position + max(picture.rows, picture.columns), index + picture.rows * picture.columns
    return torch.cat(found, dim=1)[:, None]

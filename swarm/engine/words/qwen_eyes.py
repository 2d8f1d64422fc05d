"""How Qwen 2.5 VL sees pictures among the words of a prompt: a tower that turns them into states, and their places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel

from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Config, fill
from swarm.engine.words.encoders import Found

_HOMES = ("visual.", "model.visual.")
_MARKER = "patch_embed.proj.weight"
_HEAD = 80
_WHOLE_VIEWS = 4
"""How many blocks look at the whole picture and not at windows of it."""
_MERGED = 2
"""Patches in a row and in a column that become one state."""
_MEAN, _SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the colours that CLIP was trained with."""


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

    def look(self, pictures: Sequence[torch.Tensor]) -> list[Seen]:
        """Pictures (3, h, w), 0 to 1, each at the size it has, to whole states."""
        read = [self._patches(picture) for picture in pictures]
        sides = [(rows, columns) for _, rows, columns in read]
        grids = torch.tensor([(1, rows * _MERGED, columns * _MERGED) for rows, columns in sides])
        patches = torch.cat([each for each, _, _ in read]).to(self._device, self.tower.dtype)
        states = self.tower(patches, grid_thw=grids.to(self._device)).pooler_output
        parts = states.split([rows * columns for rows, columns in sides])
        return [
            Seen(states=part, rows=rows, columns=columns) for part, (rows, columns) in zip(parts, sides, strict=True)
        ]

    def _patches(self, picture: torch.Tensor) -> tuple[torch.Tensor, int, int]:
        """A picture's patches (n, numbers), those of a state after one another; its states in a column and in a row."""
        config = self.tower.config
        patch, frames = int(config.patch_size), int(config.temporal_patch_size)
        cell = patch * _MERGED
        rows, columns = (max(1, round(side / cell)) for side in picture.shape[-2:])
        size = rows * cell, columns * cell
        image = torch.nn.functional.interpolate(picture[None], size=size, mode="bilinear", align_corners=False)[0]
        image = (image - torch.tensor(_MEAN)[:, None, None]) / torch.tensor(_SPREAD)[:, None, None]
        cells = image.view(3, rows, _MERGED, patch, columns, _MERGED, patch).permute(1, 4, 2, 5, 0, 3, 6)
        still = cells.reshape(-1, 3, 1, patch, patch).expand(-1, 3, frames, patch, patch)
        return still.flatten(1), rows, columns


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

"""Where the tokens of Qwen-Image lie: pictures around a middle of their own, words behind the corner of the first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

import torch

Grid: TypeAlias = tuple[int, int, int]
"""Frames (1), rows and columns of a picture's tokens."""
_BASE = 10_000.0


class QwenPlaces(torch.nn.Module):
    """Stands in for the library's own, which has pictures with an odd number of rows or columns begin one further from
    the middle, and words follow the largest picture instead of the one that is drawn."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self._axes = tuple(axes)

    def forward(
        self, grids: Sequence[Sequence[Grid]], device: torch.device | None = None, max_txt_seq_len: int = 0
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Turns of the pictures' tokens and of `max_txt_seq_len` words: (tokens, head / 2), complex. `grids`: of each
        row, the picture first; all rows have the same."""
        place = torch.device("cpu") if device is None else device
        return _turns(tuple(tuple(grid) for grid in grids[0]), int(max_txt_seq_len), self._axes, place)


@lru_cache(maxsize=32)
def _turns(
    grids: tuple[Grid, ...], words: int, axes: tuple[int, ...], place: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    pictures = torch.cat([_around_middle(number, *grid[1:]) for number, grid in enumerate(grids)])
    first = max(side // 2 for side in grids[0][1:])
    text = torch.arange(first, first + words, dtype=torch.float64)[:, None].expand(-1, len(axes))
    return _turned(pictures, axes).to(place), _turned(text, axes).to(place)


def _around_middle(number: int, rows: int, columns: int) -> torch.Tensor:
    return torch.cartesian_prod(
        torch.tensor([number], dtype=torch.float64),
        torch.arange(rows, dtype=torch.float64) - rows // 2,
        torch.arange(columns, dtype=torch.float64) - columns // 2,
    )


def _turned(places: torch.Tensor, axes: tuple[int, ...]) -> torch.Tensor:
    """(n, axes) to (n, head / 2): each axis turns its share of a head."""
    shares = [
        place[:, None] * _BASE ** -(torch.arange(0, size, 2, dtype=torch.float64) / size)
        for place, size in zip(places.unbind(1), axes, strict=True)
    ]
    angles = torch.cat(shares, dim=1)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)

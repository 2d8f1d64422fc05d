"""Latents as sequences of 2x2 patches with positions, for transformers that read pictures as tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch

PATCH = 2


def even(latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, C, h, w) with sides of whole patches: what is missing is continued from the other edge."""
    down, right = -latents.shape[-2] % PATCH, -latents.shape[-1] % PATCH
    if not down and not right:
        return latents
    return torch.nn.functional.pad(latents, (0, right, 0, down), mode="circular")


def packed(latents: torch.Tensor) -> torch.Tensor:
    """Latents (n, C, h, w) with even sides as tokens (n, h/2 * w/2, C * 4)."""
    count, channels, height, width = latents.shape
    patches = latents.view(count, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(count, (height // PATCH) * (width // PATCH), channels * PATCH**2)


def unpacked(tokens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Tokens of a picture as latents (n, C, height, width); sides that were made even are cut back."""
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    patches = tokens.view(tokens.shape[0], rows, columns, -1, PATCH, PATCH)
    latents = patches.permute(0, 3, 1, 4, 2, 5).reshape(tokens.shape[0], -1, rows * PATCH, columns * PATCH)
    return latents[..., :height, :width]


@dataclass(frozen=True)
class Place:
    """Where a picture lies in the space of positions: its number, and how far from the corner, in patches."""

    number: int = 0
    top: int = 0
    left: int = 0


@lru_cache(maxsize=64)
def positions(height: int, width: int, place: Place = Place()) -> torch.Tensor:
    """(number, row, column) of each token of a latent of height x width, on the CPU."""
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    found = torch.zeros(rows, columns, 3)
    found[..., 0] = place.number
    found[..., 1] = torch.arange(rows)[:, None] + place.top
    found[..., 2] = torch.arange(columns)[None, :] + place.left
    return found.reshape(-1, 3)


def beside(sizes: Sequence[tuple[int, int]]) -> list[Place]:
    """Where reference pictures of these latent sizes lie, all as picture 1: each below or right of those before it,
    whichever keeps the whole more nearly square."""
    places: list[Place] = []
    height = width = 0
    for rows, columns in sizes:
        top = left = 0
        if rows + height > columns + width:
            left = width
        else:
            top = height
        places.append(Place(1, (top + PATCH // 2) // PATCH, (left + PATCH // 2) // PATCH))
        height, width = max(height, rows + top), max(width, columns + left)
    return places

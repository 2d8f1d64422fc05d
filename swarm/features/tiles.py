"""A walk over a latent piece by piece, for pictures larger than a model draws well (swarm-t2i 9.8)."""

from __future__ import annotations

from collections.abc import Generator
from math import ceil
from typing import Any

from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.acts import Ask, Sample
from swarm.jobs.stage import Pass
from swarm.media.image import Pixels

USUAL_TILE = 768
"""The side of tiles for models that name no size of their own, in pixels."""
WANTED_OVERLAP = 32
"""Latent cells that neighbours should share; where they would not, there is one tile more."""
_FEATHER = 8


def tile_count(size: int, tile: int) -> int:
    """How many tiles a side of `size` cells takes."""
    if size <= tile:
        return 1
    count = ceil(size / tile) + (size % tile == 0)
    return count + (_overlap(size, tile, count) < WANTED_OVERLAP)


def _overlap(size: int, tile: int, count: int) -> float:
    return tile - (size - tile) / (count - 1)


def starts(size: int, tile: int) -> list[int]:
    """Where tiles begin along a side, spread evenly."""
    count = tile_count(size, tile)
    return [0] if count == 1 else [round(number * (size - tile) / (count - 1)) for number in range(count)]


def sampled_in_tiles(of: Pass, latent: Any) -> Generator[Ask, Any, Any]:
    """What one walk after another makes of the tiles of a latent (1, C, h, w), put together again."""
    rows, columns = latent.shape[-2:]
    factor = of.input.get(WIDTH) // columns
    tile = (of.model.width or USUAL_TILE) // factor
    high, wide = min(rows, tile), min(columns, tile)
    sized = of.input.having(WIDTH, wide * factor).having(HEIGHT, high * factor)
    result = latent.clone()
    for top in starts(rows, tile):
        for left in starts(columns, tile):
            piece = latent[..., top : top + high, left : left + wide].contiguous()
            made = yield Sample(of=of.with_input(sized).starting(piece))
            assert not isinstance(made, Pixels), "a refining walk has no init image to answer with"
            share = _feather(high, wide, tile // _FEATHER, top > 0, left > 0).to(made)
            into = result[..., top : top + high, left : left + wide]
            into.copy_(into * (1.0 - share).to(into) + made.to(into) * share.to(into))
    return result


def _feather(high: int, wide: int, width: int, above: bool, before: bool) -> Any:
    """How much of a tile counts (1, 1, high, wide): less and less towards the neighbours that are there already."""
    import torch

    share = torch.ones(1, 1, high, wide)
    width = min(width, high, wide)
    ramp = (torch.arange(width) + 1) / max(1, width)
    if above:
        share[..., : len(ramp), :] *= ramp[:, None]
    if before:
        share[..., : len(ramp)] *= ramp
    return share

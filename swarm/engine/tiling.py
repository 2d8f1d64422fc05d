"""Work over an image or a latent tile by tile, for what does not fit in one piece: VAEs and upscalers.

Tiles share a border over which one fades into the next. Most VAEs go over their picture three times, in squares and in
tiles that lie and stand, and the mean is taken, so that no border lies everywhere at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import torch
from torch import Tensor

FALLBACK = 512
"""The side of tiles in pixels where the request names none."""
FALLBACK_DECODE_OVERLAP, FALLBACK_ENCODE_OVERLAP = 128, 64


def in_tiles(
    whole: Tensor, work: Callable[[Tensor], Tensor], high: int, wide: int, overlap: int, factor: float
) -> Tensor:
    """What `work` makes of tensors (1, C, H, W), each tile at most high × wide, put together: (1, C', H', W') float32.

    `overlap`: what neighbours share. `factor`: how many times as long the sides of the result are.
    """
    sides = whole.shape[-2:]
    overlap = min(overlap, min(high, wide) - 1)
    if sides[0] <= high and sides[1] <= wide:
        return work(whole).float()
    total = weights = torch.empty(0)
    for top, left in product(_begins(sides[0], high, overlap), _begins(sides[1], wide, overlap)):
        made = work(whole[..., top : top + high, left : left + wide]).float()
        if total.numel() == 0:
            total = made.new_zeros(1, made.shape[1], *(round(side * factor) for side in sides))
            weights = torch.zeros_like(total[:, :1])
        share = _faded(made[:, :1], round(overlap * factor))
        down, across = round(top * factor), round(left * factor)
        place = ..., slice(down, down + made.shape[-2]), slice(across, across + made.shape[-1])
        total[place] += made * share
        weights[place] += share
    return total / weights


def _begins(side: int, tile: int, overlap: int) -> Iterator[int]:
    """Where tiles begin along a side."""
    if side <= tile:
        return iter((0,))
    return (max(0, min(side - overlap, begin)) for begin in range(0, side - overlap, tile - overlap))


def _faded(like: Tensor, width: int) -> Tensor:
    """Weights of a tile, falling towards each of its borders over `width`, where it is wider than that."""
    share = torch.ones_like(like)
    ramp = (torch.arange(width, device=like.device) + 1) / max(1, width)
    for dim in (-2, -1):
        if width < share.shape[dim]:
            shape = (-1, 1) if dim == -2 else (-1,)
            share.narrow(dim, 0, width).mul_(ramp.view(shape))
            share.narrow(dim, share.shape[dim] - width, width).mul_(ramp.flip(0).view(shape))
    return share


def thrice(whole: Tensor, work: Callable[[Tensor], Tensor], tile: int, overlap: int, factor: float) -> Tensor:
    """The mean over square, lying and standing tiles. All of (n, C, H, W), one after another."""
    shapes = (tile, tile), (tile // 2, tile * 2), (tile * 2, tile // 2)
    return torch.cat(
        [
            torch.stack([in_tiles(one, work, high, wide, overlap, factor) for high, wide in shapes]).mean(dim=0)
            for one in whole.split(1)
        ]
    )


def once(whole: Tensor, work: Callable[[Tensor], Tensor], tile: int, overlap: int, factor: float) -> Tensor:
    """Square tiles only: what VAEs of films are given."""
    return torch.cat([in_tiles(one, work, tile, tile, overlap, factor) for one in whole.split(1)])

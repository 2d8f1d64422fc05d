"""HyperTile while refining: the widest self-attention works in tiles, which is quicker for large pictures.

After github.com/tfernd/HyperTile. Tiles are as large as asked or the next larger that divides the picture evenly; they
lie the same at every step, so a seed makes the same picture every time.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.jobs.stage import Pass, Patch, Patched
from swarm.params.kinds import Integer

REFINER_HYPERTILE = Integer(
    name="Refiner HyperTile",
    description="Has the refine stage's self-attention work in tiles of this many pixels, which is quicker for large "
    "pictures. UNet models only.",
    default=256,
    min=64,
    max=2048,
    step=32,
    view_type="pot_slider",
    group=ADVANCED_SAMPLING_GROUP,
    flags=("comfyui",),
    priority=20.0,
    advanced=True,
    toggleable=True,
)

_CELL = 8
"""Pixels of a UNet's latent cell."""


def tiles_along(cells: int, least: int) -> int:
    """How many tiles a side of `cells` is cut into: as many as divide it evenly into pieces of at least `least`."""
    return max(count for count in range(1, cells + 1) if cells % count == 0 and (cells // count >= least or count == 1))


def _key(of: Pass) -> Hashable:
    return of.input.get(REFINER_HYPERTILE) if of.name == "refiner" else None


def _apply(modules: Patched, tile: int) -> Callable[[], None]:
    """Around each self-attention of the level with the most places: cut, attend, put together again."""
    unet = modules.denoiser
    if not hasattr(unet, "up_blocks"):
        return lambda: None
    tiling, hooks = _Tiling(max(1, tile // _CELL)), []
    hooks.append(unet.register_forward_pre_hook(tiling.sees, with_kwargs=True))
    for block in (*unet.down_blocks, *unet.up_blocks):
        for attention in getattr(block, "attentions", ()):
            for transformer in attention.transformer_blocks:
                hooks.append(transformer.attn1.register_forward_pre_hook(tiling.cuts))
                hooks.append(transformer.attn1.register_forward_hook(tiling.joins))

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


class _Tiling:
    """The cuts of one call. `height`, `width`: of its latent, in cells."""

    def __init__(self, tile: int) -> None:
        self._tile = tile
        self._height = self._width = 0
        self._most = 0
        self._cut: tuple[int, int, int, int] | None = None

    def sees(self, _unet: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
        x = arguments[0] if arguments else named["sample"]
        self._height, self._width = x.shape[-2:]
        self._most = 0

    def cuts(self, _attention: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """(n, places, channels) as (n * tiles, places of a tile, channels)."""
        x, *rest = arguments
        places = x.shape[1]
        # The first self-attention on the way is the widest there is: XL has none at the latent's own size.
        self._most = self._most or places
        shrunk = round((self._height * self._width / places) ** 0.5)
        height, width = self._height // shrunk, self._width // shrunk
        self._cut = None
        if places != self._most or height * width != places:
            return None
        down, across = (tiles_along(side, max(1, self._tile // shrunk)) for side in (height, width))
        if down * across == 1:
            return None
        self._cut = down, height // down, across, width // across
        tiles = x.unflatten(1, self._cut).transpose(2, 3)
        return (tiles.flatten(3, 4).flatten(0, 2), *rest)

    def joins(self, _attention: Any, _arguments: Any, made: Any) -> Any:
        if self._cut is None:
            return None
        down, height, across, width = self._cut
        tiles = made.unflatten(0, (-1, down, across)).unflatten(3, (height, width))
        return tiles.transpose(2, 3).flatten(1, 4)


REFINER_HYPERTILE_PATCH = Patch(id="hypertile", order=40, when=REFINER_HYPERTILE, key=_key, apply=_apply)

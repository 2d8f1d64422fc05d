"""Upscalers: a network that makes pictures larger, in tiles that fit into the memory there is."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from swarm.base.errors import BadInput
from swarm.engine.device import Device, is_out_of_memory
from swarm.engine.networks.compact import compact, is_compact
from swarm.engine.networks.extras import wanted
from swarm.engine.networks.network import Network
from swarm.engine.networks.rrdb import is_rrdb, rrdb
from swarm.engine.networks.weights import filled, read_weights
from swarm.engine.tiling import in_tiles
from swarm.engine.torchvision_operators import declare_missing_operators
from swarm.jobs.job import ModelFile

OVERLAP = 32
"""Pixels that neighbouring tiles share."""
LARGEST_TILE = 512
SMALLEST_TILE = 64
_BYTES_PER_PIXEL = 64 * 4 * 4
"""What a pixel of the result takes while it is made: some maps of 64 channels, float32."""


class Upscaler:
    """Makes images `scale` times as large."""

    def __init__(self, net: Any, scale: int, device: Device, dtype: torch.dtype) -> None:
        self._net = net
        self.scale = scale
        self._device = device
        self._dtype = dtype

    def __call__(self, image: Tensor, tile: int = 0) -> Tensor:
        """An image (1, 3, H, W), 0 to 1, enlarged, float32 on the CPU. `tile`: the side of tiles, 0 for the usual one
        or the largest half, quarter … of it that fits.

        A tile the memory does not hold is halved. Raises what the network raises when even the smallest is too large.
        """
        tile = tile or self._fitting()
        while True:
            try:
                return self._tiled(image, tile)
            except RuntimeError as error:
                if not is_out_of_memory(error) or tile <= SMALLEST_TILE:
                    raise
            self._device.give_back()
            tile //= 2

    def _fitting(self) -> int:
        pixels = self._device.free_memory() // 2 // (_BYTES_PER_PIXEL * self.scale**2)
        tile = LARGEST_TILE
        while tile > SMALLEST_TILE and tile * tile > pixels:
            tile //= 2
        return tile

    def _tiled(self, image: Tensor, tile: int) -> Tensor:
        def enlarged(piece: Tensor) -> Tensor:
            made: Tensor = self._net(piece.to(self._device.place, self._dtype))
            return made[:, :3].float().cpu()

        return in_tiles(image[:, :3], enlarged, tile, tile, OVERLAP, self.scale).clamp(0, 1)


def load(file: ModelFile, device: Device) -> Upscaler:
    """An upscaler file. Raises BadInput for what is none, or of an architecture nothing installed here knows."""
    weights = read_weights(file)
    try:
        if is_rrdb(weights):
            net, named = rrdb(weights)
            return Upscaler(filled(net, named, file, device), net.scale, device, device.compute)
        if is_compact(weights):
            small, named = compact(weights)
            return Upscaler(filled(small, named, file, device), small.scale, device, device.compute)
    except (KeyError, ValueError, IndexError):
        raise BadInput(f"The upscaler '{file.name}' lacks some of its layers.") from None
    return _by_spandrel(file, weights, device)


def _by_spandrel(file: ModelFile, weights: Mapping[str, Tensor], device: Device) -> Upscaler:
    """Any other architecture, where the library that knows them is installed and works."""
    declare_missing_operators()
    try:
        spandrel = import_module("spandrel")
    except ImportError:
        raise BadInput(
            f"The upscaler '{file.name}' is neither ESRGAN nor Real-ESRGAN. Other kinds need {wanted('upscalers')}"
        ) from None
    except RuntimeError as error:
        raise BadInput(
            f"The upscaler '{file.name}' is neither ESRGAN nor Real-ESRGAN. The library for other kinds, spandrel, is "
            f"installed but cannot be loaded: {str(error).partition(chr(10))[0]}"
        ) from None
    try:
        found = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(weights))
    except spandrel.UnsupportedModelError:
        raise BadInput(f"The file '{file.name}' is no upscaler that is known here.") from None
    half = device.compute is torch.float32 or (found.supports_half and device.compute is torch.float16)
    dtype = device.compute if half or found.supports_bfloat16 else torch.float32
    return Upscaler(found.to(device=device.place, dtype=dtype).eval(), found.scale, device, dtype)


UPSCALER = Network(id="upscaler", load=load)

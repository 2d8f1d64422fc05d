"""Device work that is no walk (upscalers, detectors), with the networks it needs kept while there is room."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import cache
from typing import Any

import torch

import swarm.engine.networks
from swarm.base.registry import Registry, collect
from swarm.engine.decode import as_tensor
from swarm.engine.device import Device
from swarm.engine.networks.network import Network
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from swarm.media.stretched import opened

KEPT = 8
"""Networks kept at most; they are small beside models."""
REMEMBERED = 16
"""Results of networks kept at most."""


@cache
def _networks() -> Registry[Network]:
    return collect(swarm.engine.networks, Network)


class Errands:
    """Tools for acts' own work (jobs.acts.WorkTools)."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._kept: OrderedDict[tuple[Any, ...], Any] = OrderedDict()
        self._results: OrderedDict[tuple[Any, ...], Any] = OrderedDict()

    @property
    def device(self) -> torch.device:
        return self._device.place

    def keep(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]

    def network(self, kind: str, file: ModelFile) -> Any:
        return self.keep((kind, file.path, file.stamp), lambda: _networks()[kind].load(file, self._device))

    def remembered(self, key: tuple[Any, ...], make: Callable[[], Any]) -> Any:
        """What `make` makes, made once for equal keys while it is among the latest."""
        if key not in self._results:
            self._results[key] = make()
            if len(self._results) > REMEMBERED:
                self._results.popitem(last=False)
        self._results.move_to_end(key)
        return self._results[key]

    def image(self, picture: Picture, *, width: int = 0, height: int = 0, mode: str = "RGB") -> torch.Tensor:
        return as_tensor(opened(picture, width, height, mode))

    def drop(self) -> bool:
        """Forget what is kept; True if there was something."""
        had, self._kept = bool(self._kept), OrderedDict()
        self._results.clear()
        self._device.give_back()
        return had

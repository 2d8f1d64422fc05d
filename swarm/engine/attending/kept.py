"""Keys and values of cross-attention, kept from step to step: prompts do not change on the way, so neither do these."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from swarm.engine.device import Device

_SHARE = 64
"""At most this part of the device's memory is used for it."""


class KeptProjection:
    """A linear layer's forward that answers the same tensor object with the same output."""

    def __init__(self, forward: Callable[[torch.Tensor], torch.Tensor], keeper: Keeper) -> None:
        self._forward = forward
        self.keeper = keeper
        self._seen: torch.Tensor | None = None
        self._made: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if x is self._seen and self._made is not None:
            return self._made
        made = self._forward(x)
        if x is self.keeper.kept:
            self._seen, self._made = x, made
        else:
            self.let_go()
        return made

    @property
    def holds(self) -> bool:
        """Whether it has an answer."""
        return self._made is not None

    def let_go(self) -> None:
        self._seen = self._made = None


class Keeper:
    """Keeps what the cross-attention of a UNet makes of `kept`, the prompt tokens of the present calls."""

    def __init__(self, unet: torch.nn.Module, device: Device) -> None:
        self.kept: torch.Tensor | None = None
        self._most = device.memory // _SHARE
        self._width = 0
        self._projections: list[KeptProjection] = []
        for name, module in unet.named_modules():
            if name.endswith("attn2"):
                self._wrap(module)

    def keep(self, tokens: torch.Tensor) -> None:
        """From now on `tokens` (n, length, width) will be asked again and again, if there is room for the answers."""
        fits = self._width * tokens.shape[0] * tokens.shape[1] * tokens.element_size() <= self._most
        self.kept = tokens if fits else None

    def _wrap(self, attention: Any) -> None:
        for layer in (attention.to_k, attention.to_v):
            self._width += int(layer.out_features)
            # On the instance, so that weights, names and whoever replaces the attention's processor are unconcerned.
            layer.forward = KeptProjection(layer.forward, self)
            self._projections.append(layer.forward)

    def let_go(self) -> None:
        """Take what was made off the device."""
        for projection in self._projections:
            projection.let_go()

"""LoRAs that have a network see more than it was made for: Flux.1's depth and canny LoRAs, which make a plain model one
that draws along a picture. It sees that picture's latent beside its own.

The weights of the layer that is widened are changed as all others are. What a LoRA makes of the further inputs is added
behind the layer, and nothing of it is left when the LoRA goes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import linear

from swarm.engine.loras.lora_files import Pieces
from swarm.engine.loras.lora_kinds import delta

_MORE = "inputs_beside"


class Widened:
    """A linear layer that hears further inputs behind its own, until it is undone."""

    def __init__(self, layer: Any, weight: torch.Tensor) -> None:
        """`weight`: (outputs, further inputs)."""
        self._layer = layer
        self._weight = weight.to(layer.weight)
        self._further: torch.Tensor | None = None
        self._hooks = [
            layer.register_forward_pre_hook(self._take_away),
            layer.register_forward_hook(self._add),
        ]
        setattr(layer, _MORE, int(weight.shape[1]))

    def undo(self) -> None:
        for hook in self._hooks:
            hook.remove()
        delattr(self._layer, _MORE)

    def _take_away(self, layer: Any, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        own, self._further = given[0].tensor_split([layer.in_features], dim=-1)
        return own, *given[1:]

    def _add(self, _layer: Any, _given: Any, said: torch.Tensor) -> torch.Tensor:
        assert self._further is not None
        further, self._further = self._further, None
        return said + linear(further, self._weight.to(further))


def inputs_of(layer: Any) -> int:
    """How many inputs a linear layer has now."""
    return int(layer.in_features) + int(getattr(layer, _MORE, 0))


def parted(pieces: Pieces, inputs: int, strength: float) -> tuple[Pieces, torch.Tensor] | None:
    """A change of a layer for twice as many inputs as it has: that of its own weights, and (outputs, inputs) for the
    others at this strength. None for a change that widens nothing."""
    down = pieces.get("down")
    if down is None or down.ndim != 2 or down.shape[1] != 2 * inputs or "mid" in pieces or "dora" in pieces:
        return None
    own, others = ({**pieces, "down": part} for part in down.split(inputs, dim=1))
    return own, delta(others, down.device) * strength

"""Calls Lumina 2's transformer for rows of different pictures: prompts are filled up, and the filling is hidden."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.lumina_2_load import PIPELINES, load, lumina_names
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes
from swarm.engine.denoisers import any_lengths, filled_up, token_width
from swarm.engine.device import Device
from swarm.engine.packing import even


class LuminaDenoiser:
    """Calls the transformer of loaded components. Prompts of any length share a call."""

    def __init__(self, components: Components, device: Device) -> None:
        self._network: Any = components.denoiser
        self._device = device
        embedder: Any = components.denoiser.x_embedder
        self._dtype: torch.dtype = embedder.weight.dtype
        self._places = KnownPlaces(self._network.rope_embedder)
        self._network.rope_embedder.forward = self._places

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return any_lengths(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32.

        It was trained with time running upwards to the picture, and answers with the way there: hence the signs.
        """
        place, dtype = self._device.place, self._dtype
        height, width = rows[0].x.shape[-2:]
        tokens, said = filled_up(rows)
        if said is None:
            said = torch.ones(tokens.shape[:2], dtype=torch.bool)
        answer = self._network(
            hidden_states=even(torch.cat([row.x for row in rows])).to(place, dtype),
            timestep=torch.tensor([1.0 - row.sigma for row in rows], device=place, dtype=torch.float32),
            encoder_hidden_states=tokens.to(place, dtype),
            encoder_attention_mask=said.to(place),
            return_dict=False,
        )[0]
        return -answer.float()[..., :height, :width]


def row_width(network: Any) -> int:
    return token_width(int(network.config.hidden_size))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    refiners = int(network.config.num_refiner_layers)
    return lumina_names(refiners, refiners, int(network.config.num_layers)).lora_names(key)


ADAPTER = Adapter(
    id="lumina-2",
    pipelines=PIPELINES,
    load=load,
    denoiser=LuminaDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
)

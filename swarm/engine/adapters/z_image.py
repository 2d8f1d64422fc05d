"""Calls Z-Image's transformer for rows of different pictures. It takes lists, and fills up and masks prompts itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.z_image_load import PIPELINES, load, z_image_names
from swarm.engine.attending.spots import Spot
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes
from swarm.engine.denoisers import any_lengths, token_width
from swarm.engine.device import Device
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.engine.packing import PATCH, even


class ZImageDenoiser:
    """Calls the transformer of loaded components. Prompts of any length share a call."""

    def __init__(self, components: Components, device: Device) -> None:
        self._network: Any = components.denoiser
        self._device = device
        embedder: Any = components.denoiser.cap_embedder
        self._dtype: torch.dtype = embedder[1].weight.dtype
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)

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
        pictures = even(torch.cat([row.x for row in rows])).to(place, dtype).unsqueeze(2)
        answers = self._network(
            list(pictures.unbind(0)),
            self._numbers(1.0 - row.sigma for row in rows),
            list(self._prompts(rows)),
            return_dict=False,
        )[0]
        return -torch.stack([answer.float() for answer in answers]).squeeze(2)[..., :height, :width]

    def _told(self, rows: Sequence[Row]) -> tuple[torch.Tensor, ...]:
        return tuple(row.conditioning.tokens[0].to(self._device.place, self._dtype) for row in rows)


def row_width(network: Any) -> int:
    return token_width(int(network.config.dim))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    refiners = int(network.config.n_refiner_layers)
    return z_image_names(refiners, refiners, int(network.config.n_layers)).lora_names(key)


def _picture(row: Row) -> slice:
    """Where a row's own tokens are: before those of its prompt."""
    height, width = row.x.shape[-2:]
    return slice(0, -(-height // PATCH) * -(-width // PATCH))


def _attention(network: Any, line: Row, _words: int) -> list[Spot]:
    own = _picture(line)
    return [Spot(holder=layer.attention.to_out._modules, name="0", picture=own) for layer in network.layers]


ADAPTER = Adapter(
    id="z-image",
    pipelines=PIPELINES,
    load=load,
    denoiser=ZImageDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("layers", last="all_final_layer.2-1", picture=_picture),
    attention=_attention,
)

"""Calls Lumina 2's transformer for rows of different pictures: prompts are filled up, and the filling is hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.lumina_2_load import PIPELINES, load, lumina_names
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes
from swarm.engine.denoisers import any_lengths, filled_up, token_width
from swarm.engine.device import Device
from swarm.engine.once import Numbers, Once, OncePerPrompts
from swarm.engine.packing import PATCH, even


class KnownPlaces:
    """The network's rotary embedder, told how long the prompts are.

    The library's own reads that back from the mask, which makes everybody wait for the device at each step, and works
    the places out anew each time; here its answer, made on the processor, is remembered by lengths and size.
    """

    def __init__(self, embedder: Any, device: Device) -> None:
        self._embedder = embedder
        self._device = device
        self._places = Once(self._made)
        self.lengths: tuple[int, ...] = ()

    def __call__(self, x: torch.Tensor, _mask: torch.Tensor) -> tuple[Any, ...]:
        """`x`: (n, C, h, w) with even sides. Its patches, then what the library's own answers besides."""
        height, width = x.shape[-2:]
        side = int(self._embedder.patch_size)
        patches = x.unflatten(-1, (-1, side)).unflatten(-3, (-1, side)).permute(0, 2, 4, 3, 5, 1)
        return patches.flatten(3).flatten(1, 2), *self._places((self.lengths, int(height), int(width)))

    def _made(self, of: tuple[tuple[int, ...], int, int]) -> tuple[Any, ...]:
        lengths, height, width = of
        mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        empty = torch.empty(len(lengths), 1, height, width)
        _, *found = type(self._embedder).forward(self._embedder, empty, mask)
        return tuple(self._device.sent(each) if isinstance(each, torch.Tensor) else each for each in found)


class LuminaDenoiser:
    """Calls the transformer of loaded components. Prompts of any length share a call."""

    def __init__(self, components: Components, device: Device) -> None:
        network: Any = components.denoiser
        self._network = network
        self._device = device
        self._dtype: torch.dtype = network.x_embedder.weight.dtype
        self._places = network.rope_embedder.forward = KnownPlaces(network.rope_embedder, device)
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
        height, width = rows[0].x.shape[-2:]
        self._places.lengths = tuple(int(row.conditioning.tokens.shape[1]) for row in rows)
        answer = self._network(
            hidden_states=even(torch.cat([row.x for row in rows])).to(self._dtype),
            timestep=self._numbers(1.0 - row.sigma for row in rows),
            **self._prompts(rows),
            return_dict=False,
        )[0]
        return -answer.float()[..., :height, :width]

    def _told(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        tokens, said = filled_up(rows)
        if said is None:
            said = torch.ones(tokens.shape[:2], dtype=torch.bool)
        return {
            "encoder_hidden_states": tokens.to(self._device.place, self._dtype),
            "encoder_attention_mask": self._device.sent(said),
        }


def row_width(network: Any) -> int:
    return token_width(int(network.config.hidden_size))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    refiners = int(network.config.num_refiner_layers)
    return lumina_names(refiners, refiners, int(network.config.num_layers)).lora_names(key)


def _picture(row: Row) -> slice:
    """Where a row's own tokens are: behind those of its prompt."""
    words = int(row.conditioning.tokens.shape[1])
    height, width = row.x.shape[-2:]
    return slice(words, words + -(-height // PATCH) * -(-width // PATCH))


ADAPTER = Adapter(
    id="lumina-2",
    pipelines=PIPELINES,
    load=load,
    denoiser=LuminaDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("layers", picture=_picture),
)

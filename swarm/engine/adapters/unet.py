"""Stable Diffusion's UNets (1.x, XL) as one call for rows of different pictures, steps, prompts and sizes of prompt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from swarm.engine.device import Device
from swarm.engine.loader import Components
from swarm.jobs.stage import Conditioning

MOST_REPEATS = 4
"""Prompts are only brought to a common length that is at most this many times the longest of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One line of a model call. `x`: (1, C, h, w) float32, scaled for the network. `timestep`: may lie between steps.

    `size`: SDXL's six size numbers, empty for other families.
    """

    x: torch.Tensor
    timestep: float
    conditioning: Conditioning
    size: tuple[float, ...] = ()


class UnetDenoiser:
    """Calls the UNet of loaded components."""

    def __init__(self, components: Components, device: Device) -> None:
        self._unet = components.unet
        self._device = device
        self._told: tuple[list[tuple[Conditioning, tuple[float, ...]]], torch.Tensor, dict[str, Any]] | None = None

    def size_numbers(self, width: int, height: int) -> tuple[float, ...]:
        """What an XL UNet is told about a picture's size: original, crop and target, as (height, width) pairs."""
        if self._unet.config.addition_embed_type != "text_time":
            return ()
        return (height, width, 0, 0, height, width)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        tokens, added = self._conditions(rows)
        compute = self._device.compute
        x = torch.cat([row.x for row in rows]).to(compute)
        if self._device.is_cuda:
            x = x.contiguous(memory_format=torch.channels_last)
        times = torch.tensor([row.timestep for row in rows], device=self._device.place)
        answer = self._unet(x, times, encoder_hidden_states=tokens, added_cond_kwargs=added, return_dict=False)[0]
        return answer.float()

    def _conditions(self, rows: Sequence[Row]) -> tuple[torch.Tensor, dict[str, Any]]:
        """The prompt tensors of a call; kept while the same prompts are asked again, which is nearly every step."""
        if self._told is None or not _same(self._told[0], rows):
            tokens, added = self._stacked(rows)
            self._told = ([(row.conditioning, row.size) for row in rows], tokens, added)
        return self._told[1], self._told[2]

    def _stacked(self, rows: Sequence[Row]) -> tuple[torch.Tensor, dict[str, Any]]:
        length = math.lcm(*(row.conditioning.tokens.shape[1] for row in rows))
        tokens = torch.cat([_repeated(row.conditioning.tokens, length) for row in rows]).to(self._device.compute)
        if not rows[0].size:
            return tokens, {}
        pooled = torch.cat([row.conditioning.pooled for row in rows]).to(self._device.compute)
        sizes = torch.tensor([row.size for row in rows], device=self._device.place, dtype=self._device.compute)
        return tokens, {"text_embeds": pooled, "time_ids": sizes}


def _same(told: Sequence[tuple[Conditioning, tuple[float, ...]]], rows: Sequence[Row]) -> bool:
    if len(told) != len(rows):
        return False
    return all(known is row.conditioning and size == row.size for (known, size), row in zip(told, rows, strict=True))


def _repeated(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """Prompt tokens (1, n, width), repeated as a whole to `length`: attention over repeated keys is the same."""
    times = length // tokens.shape[1]
    return tokens if times == 1 else tokens.repeat(1, times, 1)


def alike(rows: Sequence[Row]) -> list[list[int]]:
    """Positions of the rows that may share a call: those whose prompts have a short enough common length."""
    calls: list[tuple[int, list[int]]] = []
    for position, row in sorted(enumerate(rows), key=lambda pair: -pair[1].conditioning.tokens.shape[1]):
        own = int(row.conditioning.tokens.shape[1])
        for number, (length, members) in enumerate(calls):
            longest = max(int(rows[member].conditioning.tokens.shape[1]) for member in members)
            if (common := math.lcm(length, own)) <= MOST_REPEATS * longest:
                calls[number] = (common, [*members, position])
                break
        else:
            calls.append((own, [position]))
    return [sorted(members) for _length, members in calls]

"""Calls Qwen-Image's transformer for rows of different pictures; the edit models look at pictures beside the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.models.transformers import transformer_qwenimage

from swarm.engine.adapters.flux import references
from swarm.engine.adapters.qwen_image_load import NAMES, PIPELINES, load
from swarm.engine.attending import spots
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes, kind_of
from swarm.engine.denoisers import row_width
from swarm.engine.device import Device
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.engine.packing import PATCH, even, packed, unpacked
from swarm.engine.qwen_places import QwenPlaces


class QwenDenoiser:
    """Calls the transformer of loaded components. Prompts of different lengths share a call: the shorter ones are
    filled up and the filling is hidden."""

    def __init__(self, components: Components, device: Device) -> None:
        network: Any = components.denoiser
        network.pos_embed = QwenPlaces(network.config.axes_dims_rope)
        transformer_qwenimage.compute_text_seq_len_from_mask = known_length
        self._network = network
        self._device = device
        self._dtype: torch.dtype = components.denoiser.proj_out.weight.dtype  # type: ignore[union-attr, assignment]
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        calls: dict[object, list[int]] = {}
        for position, row in enumerate(rows):
            sizes = tuple(tuple(each.shape) for each in references(row))
            calls.setdefault((sizes, kind_of(row)), []).append(position)
        return list(calls.values())

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        height, width = rows[0].x.shape[-2:]
        picture = packed(even(torch.cat([row.x for row in rows])))
        extra = [packed(even(torch.cat(latents))) for latents in zip(*map(references, rows), strict=True)]
        place, dtype = self._device.place, self._dtype
        tokens = torch.cat([picture, *(each.to(picture) for each in extra)], dim=1)
        answer = self._network(
            hidden_states=tokens.to(place, dtype),
            timestep=self._numbers(row.sigma for row in rows),
            img_shapes=[_grids(row) for row in rows],
            **self._prompts(rows),
            return_dict=False,
        )[0]
        return unpacked(answer[:, : picture.shape[1]].float(), height, width)

    def _told(self, rows: Sequence[Row]) -> dict[str, Any]:
        lengths = [int(row.conditioning.tokens.shape[1]) for row in rows]
        longest = max(lengths)
        tokens = [
            torch.nn.functional.pad(row.conditioning.tokens, (0, 0, 0, longest - length))
            for row, length in zip(rows, lengths, strict=True)
        ]
        told: dict[str, Any] = {"encoder_hidden_states": torch.cat(tokens).to(self._device.place, self._dtype)}
        if min(lengths) < longest:
            places = torch.arange(longest, device=self._device.place)
            told["encoder_hidden_states_mask"] = places < self._numbers(lengths)[:, None]
        return told


def known_length(
    tokens: torch.Tensor, said: torch.Tensor | None
) -> tuple[int, torch.Tensor | None, torch.Tensor | None]:
    """Stands in for the library's own, which sends the device a number at each step, to count what nobody asks."""
    return int(tokens.shape[1]), None, None if said is None else said.bool()


def _grids(row: Row) -> list[tuple[int, int, int]]:
    """Frames, rows and columns of the picture's tokens, then of each reference's."""
    sides = [row.x.shape[-2:], *(each.shape[-2:] for each in references(row))]
    return [(1, -(-height // PATCH), -(-width // PATCH)) for height, width in sides]


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """The names of LoRA files are diffusers'."""
    return NAMES.lora_names(key)


ADAPTER = Adapter(
    id="qwen-image",
    pipelines=PIPELINES,
    load=load,
    denoiser=QwenDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("transformer_blocks"),
    attention=spots.two_streams,
)

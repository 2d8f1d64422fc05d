"""Sana: linear attention over latents of 32 pixels to a cell, Gemma 2's tokens by cross-attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.sana_load import load, sana_names
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes
from swarm.engine.denoisers import any_lengths, filled_up
from swarm.engine.device import Device
from swarm.engine.once import Numbers, OncePerPrompts

_TIMESTEPS = 1000.0
_WIDE_MAPS = 5
"""The feed-forward part's map is this many times as wide as the stream."""


class SanaDenoiser:
    """Calls the transformer of loaded components. Prompts of any length share a call."""

    def __init__(self, components: Components, device: Device) -> None:
        network: Any = components.denoiser
        self._network = network
        self._device = device
        self._dtype: torch.dtype = network.patch_embed.proj.weight.dtype
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)
        self._per_sigma = _TIMESTEPS * float(network.config.timestep_scale)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return any_lengths(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        x = torch.cat([row.x for row in rows])
        answer = self._network(
            hidden_states=x.to(self._dtype),
            timestep=self._numbers(row.sigma * self._per_sigma for row in rows),
            **self._prompts(rows),
            return_dict=False,
        )[0]
        return answer.float()[:, : x.shape[1]]

    def _told(self, rows: Sequence[Row]) -> dict[str, torch.Tensor | None]:
        tokens, said = filled_up(rows)
        return {
            "encoder_hidden_states": tokens.to(self._device.place, self._dtype),
            "encoder_attention_mask": None if said is None else self._device.sent(said, self._dtype),
        }


def row_width(network: Any) -> int:
    """The width of a row's largest map; a latent cell is one token."""
    config = network.config
    return int(config.num_attention_heads * config.attention_head_dim) * _WIDE_MAPS


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    return sana_names(int(network.config.num_layers)).lora_names(key)


ADAPTER = Adapter(
    id="sana",
    pipelines={"SanaPipeline": "nvidia-sana-1600"},
    load=load,
    denoiser=SanaDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("transformer_blocks"),
)

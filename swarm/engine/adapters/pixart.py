"""PixArt-Σ: T5's tokens by cross-attention, noise as the prediction; what it says of its own doubt is left aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.pixart_load import load, pixart_names
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes
from swarm.engine.denoisers import any_lengths, filled_up, row_width
from swarm.engine.device import Device
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.engine.packing import even


class PixartDenoiser:
    """Calls the transformer of loaded components. Prompts of any length share a call."""

    def __init__(self, components: Components, device: Device) -> None:
        self._network: Any = components.denoiser
        self._device = device
        self._channels = components.vae.channels
        embedder: Any = components.denoiser.pos_embed
        self._dtype: torch.dtype = embedder.proj.weight.dtype
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        """(height, width, their ratio), for the models that are told."""
        if not self._network.use_additional_conditions:
            return NO_SIZES
        told = float(height), float(width), height / width
        return told, told

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return any_lengths(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        height, width = rows[0].x.shape[-2:]
        answer = self._network(
            hidden_states=even(torch.cat([row.x for row in rows])).to(self._dtype),
            timestep=self._numbers(row.timestep for row in rows),
            **self._prompts(rows),
            added_cond_kwargs=self._sizes(rows),
            return_dict=False,
        )[0]
        return answer.float()[:, : self._channels, :height, :width]

    def _told(self, rows: Sequence[Row]) -> dict[str, torch.Tensor | None]:
        tokens, said = filled_up(rows)
        return {
            "encoder_hidden_states": tokens.to(self._device.place, self._dtype),
            "encoder_attention_mask": None if said is None else self._device.sent(said, self._dtype),
        }

    def _sizes(self, rows: Sequence[Row]) -> dict[str, torch.Tensor | None]:
        if not self._network.use_additional_conditions:
            return {"resolution": None, "aspect_ratio": None}
        numbers = self._numbers(row.size for row in rows)
        return {"resolution": numbers[:, :2], "aspect_ratio": numbers[:, 2:]}


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    return pixart_names(int(network.config.num_layers)).lora_names(key)


ADAPTER = Adapter(
    id="pixart",
    pipelines={"PixArtSigmaPipeline": "pixart-ms-sigma-xl-2"},
    load=load,
    denoiser=PixartDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("transformer_blocks"),
)

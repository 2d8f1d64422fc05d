"""Stable Diffusion 3 and 3.5: two CLIPs side by side, T5 behind them, a transformer that reads latents as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.sd3_load import PIPELINES, load
from swarm.engine.attending import spots
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes, same_lengths
from swarm.engine.control.sd3_controls import Sd3Controls, check_sd3_control
from swarm.engine.denoisers import row_width
from swarm.engine.device import Device
from swarm.engine.files.sd3_names import sd3_names
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.engine.packing import even

_TIMESTEPS = 1000.0


class Sd3Denoiser:
    """Calls the transformer of loaded components."""

    def __init__(self, components: Components, device: Device) -> None:
        self._network: Any = components.denoiser
        self._device = device
        self._controls = Sd3Controls(components, device)
        self._dtype: torch.dtype = components.denoiser.proj_out.weight.dtype  # type: ignore[union-attr, assignment]
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return same_lengths(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        height, width = rows[0].x.shape[-2:]
        told = {
            "hidden_states": even(torch.cat([row.x for row in rows])).to(self._dtype),
            "timestep": self._numbers(row.sigma * _TIMESTEPS for row in rows),
            **self._prompts(rows),
        }
        answer = self._network(**told, **self._controls.added(rows, told), return_dict=False)[0]
        return answer[..., :height, :width].float()

    def _told(self, rows: Sequence[Row]) -> dict[str, torch.Tensor]:
        place, dtype = self._device.place, self._dtype
        return {
            "encoder_hidden_states": torch.cat([row.conditioning.tokens for row in rows]).to(place, dtype),
            "pooled_projections": torch.cat([row.conditioning.pooled for row in rows]).to(place, dtype),
        }


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    return sd3_names(int(network.config.num_layers)).lora_names(key)


ADAPTER = Adapter(
    id="sd3",
    pipelines=PIPELINES,
    load=load,
    denoiser=Sd3Denoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    check_control=check_sd3_control,
    chain=blocks("transformer_blocks"),
    attention=spots.two_streams,
)

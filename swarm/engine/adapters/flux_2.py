"""Calls Flux.2's transformer for rows of different pictures, with and without pictures to look at; Dev and Klein."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import torch

from swarm.engine.adapters.flux import FluxDenoiser, Side, references, sides
from swarm.engine.adapters.flux_2_load import PIPELINES, load
from swarm.engine.attending import spots
from swarm.engine.chains import blocks
from swarm.engine.components import Adapter, Row
from swarm.engine.denoisers import CELLS_PER_PATCH, row_width
from swarm.engine.files.flux_2_names import flux_2_names

_APART = 10
"""How far reference pictures lie from each other, and the first from the picture itself."""


class Flux2Denoiser(FluxDenoiser):
    """Every latent cell is one token; its place is (picture, row, column, 0), a word's is (0, 0, 0, number)."""

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        x = torch.cat([row.x for row in rows])
        parts = [x, *(torch.cat(latents).to(x) for latents in zip(*map(references, rows), strict=True))]
        answer = self.network(
            hidden_states=torch.cat([part.flatten(2).transpose(1, 2) for part in parts], dim=1).to(self.dtype),
            timestep=self.numbers(row.sigma for row in rows),
            img_ids=self.places(sides(rows[0])),
            guidance=self._told_guidance(rows),
            **self._prompts(rows),
            return_dict=False,
        )[0]
        return answer[:, : x[0, 0].numel()].float().transpose(1, 2).reshape(x.shape)

    def _told_guidance(self, rows: Sequence[Row]) -> torch.Tensor | None:
        """None for networks that are told none, and for rows that ask for that."""
        if rows[0].guidance is not None and rows[0].guidance < 0:
            return None
        return self._guidance(rows).get("guidance")

    def positions(self, sides: tuple[Side, ...]) -> torch.Tensor:
        return self.device.sent(torch.cat([grid(number * _APART, *side) for number, side in enumerate(sides)]))

    def prompt_arguments(self, rows: Sequence[Row]) -> dict[str, Any]:
        tokens = torch.cat([row.conditioning.tokens for row in rows]).to(self.device.place, self.dtype)
        ids = torch.zeros(tokens.shape[1], 4)
        ids[:, 3] = torch.arange(tokens.shape[1])
        return {"encoder_hidden_states": tokens, "txt_ids": self.device.sent(ids)}


@lru_cache(maxsize=64)
def grid(number: int, height: int, width: int) -> torch.Tensor:
    """The place of each token of a latent of height x width, (h * w, 4) on the CPU."""
    return torch.cartesian_prod(torch.tensor([number]), torch.arange(height), torch.arange(width), torch.arange(1))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    config = network.config
    return flux_2_names(int(config.num_layers), int(config.num_single_layers)).lora_names(key)


ADAPTER = Adapter(
    id="flux-2",
    pipelines=PIPELINES,
    load=load,
    denoiser=Flux2Denoiser,
    lora_keys=lora_keys,
    row_width=lambda network: row_width(network) * CELLS_PER_PATCH,
    chain=blocks("transformer_blocks", "single_transformer_blocks"),
    attention=spots.flux_2,
)

"""AuraFlow: two streams, then one, over patches with learned places; Pile-T5 reads the prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.auraflow_load import auraflow_names, load
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes, same_lengths
from swarm.engine.denoisers import row_width
from swarm.engine.device import Device
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.engine.packing import even


class AuraflowDenoiser:
    """Calls the transformer of loaded components."""

    def __init__(self, components: Components, device: Device) -> None:
        self._network: Any = components.denoiser
        self._device = device
        embedder: Any = components.denoiser.pos_embed
        self._dtype: torch.dtype = embedder.proj.weight.dtype
        self._numbers = Numbers(device)
        self._prompts = OncePerPrompts(self._told)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return same_lengths(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        height, width = rows[0].x.shape[-2:]
        answer = self._network(
            hidden_states=even(torch.cat([row.x for row in rows])).to(self._dtype),
            timestep=self._numbers(row.sigma for row in rows),
            encoder_hidden_states=self._prompts(rows),
            return_dict=False,
        )[0]
        return answer.float()[..., :height, :width]

    def _told(self, rows: Sequence[Row]) -> torch.Tensor:
        return torch.cat([row.conditioning.tokens for row in rows]).to(self._device.place, self._dtype)


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    config = network.config
    return auraflow_names(int(config.num_mmdit_layers), int(config.num_single_dit_layers)).lora_names(key)


ADAPTER = Adapter(
    id="auraflow",
    pipelines={"AuraFlowPipeline": "auraflow-v1"},
    load=load,
    denoiser=AuraflowDenoiser,
    lora_keys=lora_keys,
    row_width=row_width,
    chain=blocks("joint_transformer_blocks", "single_transformer_blocks"),
)

"""ControlNets of the tiny Flux.1 and Stable Diffusion 3, with random weights that are heard."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import FluxControlNetModel, SD3ControlNetModel

from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import DEV, WIDTH
from tests.support.tiny.weights import Tensors, fresh, refreshed, state


def flux_net(**more: Any) -> Any:
    """Flux's small transformer as a net: two double blocks for its two, one single block for two."""
    config = {name: value for name, value in DEV.config().items() if name != "out_channels"}
    return refreshed(FluxControlNetModel.from_config({**config, "num_single_layers": 1, **more}), 21)


def sd3_net(family: TinyFamily, **more: Any) -> Any:
    return refreshed(SD3ControlNetModel.from_config({**family.config(), "num_layers": 1, **more}), 22)


def wide_lora() -> Tensors:
    """Of a LoRA that leads tiny Flux.1 models along a picture, as Black Forest Labs write them: the layer it widens."""
    return fresh({"img_in.lora_A.weight": (4, 128), "img_in.lora_B.weight": (WIDTH, 4)}, 23)


def original_small(net: Any) -> Tensors:
    """A net of 3.5 Large by the names it is published with."""
    found = dict(state(net))
    for name in [name for name in found if ".attn.to_q." in name]:
        parts = [found.pop(name.replace("to_q", f"to_{part}")) for part in "qkv"]
        found[name.replace("to_q", "qkv")] = torch.cat(parts)
    for new, old in (
        ("norm1.linear", "adaLN_modulation.1"), ("attn.to_out.0", "attn.proj"), ("ff.net.0.proj", "mlp.fc1"),
        ("ff.net.2", "mlp.fc2"), ("time_text_embed.timestep_embedder.linear_1", "t_embedder.mlp.0"),
        ("time_text_embed.timestep_embedder.linear_2", "t_embedder.mlp.2"),
        ("time_text_embed.text_embedder.linear_1", "y_embedder.mlp.0"),
        ("time_text_embed.text_embedder.linear_2", "y_embedder.mlp.2"),
    ):  # fmt: skip
        found = {name.replace(new, old): value for name, value in found.items()}
    return found

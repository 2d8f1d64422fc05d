"""Files of ControlNets made for UNets: original names in diffusers' spelling, and what shapes tell. Pure."""

from __future__ import annotations

import inspect
from typing import Any

from diffusers import ControlNetUnionModel

from swarm.base.errors import BadInput
from swarm.engine.files.keys import unet_key
from swarm.engine.files.shapes import Shapes, count
from swarm.jobs.job import ModelFile

UNION_MARKER = "task_embedding"
_HINT = "controlnet_cond_embedding."


def wrong_family(file: ModelFile) -> BadInput:
    return BadInput(
        f"The ControlNet '{file.name}' is for another kind of model. Choose one made for this model's family."
    )


def net_config(kind: Any, shapes: Shapes, unet: Any) -> dict[str, Any]:
    """A net's config: the UNet's, with what the file's shapes tell."""
    config = {name: unet.config[name] for name in inspect.signature(kind.__init__).parameters if name in unet.config}
    inner = sorted(
        int(name.split(".")[2]) for name in shapes if name.startswith(f"{_HINT}blocks.") and name.endswith(".weight")
    )
    outs = [shapes[f"{_HINT}conv_in.weight"][0], *(shapes[f"{_HINT}blocks.{one}.weight"][0] for one in inner[1::2])]
    config |= {
        "in_channels": shapes["conv_in.weight"][1] if "conv_in.weight" in shapes else int(unet.config.in_channels),
        "conditioning_channels": shapes[f"{_HINT}conv_in.weight"][1],
        "conditioning_embedding_out_channels": tuple(outs),
    }
    if kind is ControlNetUnionModel:
        config |= _union_config(shapes)
    return config


def _union_config(shapes: Shapes) -> dict[str, Any]:
    modes, width = shapes[UNION_MARKER]
    return {
        "num_control_type": modes,
        "num_trans_channel": width,
        "num_trans_head": max(1, width // 40),
        "num_trans_layer": count(shapes, r"transformer_layes\.(\d+)\."),
        "num_proj_channel": shapes["spatial_ch_projs.weight"][0],
    }


def old_name(name: str, layers: int) -> str:
    """A tensor's name in the original layout (below `control_model.`) in diffusers' spelling."""
    start, _, rest = name.partition(".")
    if start == "input_hint_block":
        number, end = rest.split(".")
        # Every other entry is an activation; the first and the last are the ends.
        place = {0: "conv_in", 14: "conv_out"}.get(int(number), f"blocks.{int(number) // 2 - 1}")
        return f"controlnet_cond_embedding.{place}.{end}"
    if start == "zero_convs":
        number, _zero, end = rest.split(".")
        return f"controlnet_down_blocks.{number}.{end}"
    if start == "middle_block_out":
        return f"controlnet_mid_block.{rest.removeprefix('0.')}"
    return unet_key(name, layers) or name

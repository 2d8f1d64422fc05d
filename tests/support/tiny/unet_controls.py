"""T2I-Adapters and Control-LoRAs of the tiny UNets, with random weights that are heard, in the names of their makers.

The names are written out here a second time, in the other direction than the engine reads them.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ControlNetModel, T2IAdapter

from tests.support.tiny.weights import Tensors, refreshed
from tests.support.tiny_models import unet_name

FULL, FULL_XL, LIGHT = "full_adapter", "full_adapter_xl", "light_adapter"


def picture_adapter(unet: Any, kind: str, *, channels: int = 3) -> Any:
    """A T2I-Adapter for the UNet: its levels as wide as the UNet's."""
    levels = list(unet.config.block_out_channels)
    wide = {FULL: levels, FULL_XL: [*levels, levels[-1]], LIGHT: levels[:-1]}[kind]
    torch.manual_seed(11)
    net = T2IAdapter(
        in_channels=channels,
        channels=wide,
        num_res_blocks=4 if kind == LIGHT else 2,
        downscale_factor=16 if kind == FULL_XL else 8,
        adapter_type=kind,
    )
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(2.5)
    return net.eval()


def original_adapter(net: Any) -> Tensors:
    """Its tensors as TencentARC names them."""
    found: Tensors = {}
    for key, tensor in net.state_dict().items():
        parts = key.removeprefix("adapter.").split(".")
        if parts[0] == "body":
            level = int(parts[1])
            if net.config.adapter_type == LIGHT:
                parts = ["body" if part == "resnets" else part for part in parts]
            elif parts[2] == "resnets":
                parts = ["body", str(2 * level + int(parts[3])), *parts[4:]]
            else:
                parts = ["body", str(2 * level), *parts[2:]]
        found[".".join(parts)] = tensor.contiguous()
    return found


def plain_net(unet: Any) -> Any:
    """A ControlNet for the UNet."""
    return refreshed(ControlNetModel.from_unet(unet), 4)


def control_lora(unet: Any, net: Any, *, rank: int = 4) -> tuple[Tensors, Any]:
    """A Control-LoRA as Stability names its tensors, and the ControlNet that it stands for beside this UNet.

    `net`: a ControlNet for such UNets, whose own convolutions are taken. Every layer of the UNet has a difference; one
    norm and one bias are the file's own.
    """
    torch.manual_seed(13)
    lenders = dict(unet.named_modules())
    whole, file = dict(net.state_dict()), dict[str, torch.Tensor]()
    for key in whole:
        module, _, leaf = key.rpartition(".")
        if module not in lenders:
            file[key] = whole[key]
            continue
        own = getattr(lenders[module], leaf).detach()
        whole[key] = own.clone()
        if own.ndim > 1:
            up = torch.randn(len(own), rank, *(1,) * (own.ndim - 2)) * 0.2
            down = torch.randn(rank, *own.shape[1:]) * (own[0].numel() ** -0.5)
            whole[key] += (up.flatten(1) @ down.flatten(1)).reshape(own.shape)
            file |= {f"{module}.up": up, f"{module}.down": down}
        elif module in ("down_blocks.1.resnets.0.norm1", "down_blocks.0.resnets.0.conv1"):
            whole[key] += torch.randn_like(own) * 0.1
            file[key] = whole[key]
    stood_for = type(net).from_config(net.config)
    stood_for.load_state_dict(whole)
    named = {original_control_name(name, unet): tensor.contiguous().clone() for name, tensor in file.items()}
    return {**named, "lora_controlnet": torch.tensor([])}, stood_for.eval()


def original_control_name(key: str, unet: Any) -> str:
    """A ControlNet's tensor in the original layout, without a prefix."""
    part, _, rest = key.partition(".")
    if part == "controlnet_cond_embedding":
        place, end = rest.rsplit(".", 1)
        ends = {"conv_in": 0, "conv_out": 14}
        number = ends[place] if place in ends else 2 * (int(place.split(".")[1]) + 1)
        return f"input_hint_block.{number}.{end}"
    if part == "controlnet_down_blocks":
        block, end = rest.split(".")
        return f"zero_convs.{block}.0.{end}"
    if part == "controlnet_mid_block":
        return f"middle_block_out.0.{rest}"
    return unet_name(key, unet, unet.config.layers_per_block)

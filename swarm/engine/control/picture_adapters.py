"""T2I-Adapters beside a UNet: small nets that say once what a guiding picture adds to the UNet's levels, for all steps.

Read from files in TencentARC's own layouts (full, full for XL, light) and in diffusers', and from diffusers folders.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import T2IAdapter
from torch.nn.functional import avg_pool2d, interpolate

from swarm.base.errors import BadInput
from swarm.engine.control.control_layouts import wrong_family
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Config, built, fill, read_json, refuse_gaps, settle
from swarm.engine.words.encoders import from_folder
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Control

KEPT_PICTURES = 8
"""Pictures whose levels stay on the device, of each adapter."""
FULL, FULL_XL, LIGHT = "full_adapter", "full_adapter_xl", "light_adapter"
_PREFIX = "adapter."
_MARKERS = ("body.0.in_conv.weight", "body.0.block1.weight", "body.0.resnets.0.block1.weight")
"""Of light ones in either layout, and of full ones in the original layout and in diffusers'."""
_CELL, _CELL_XL = 8, 16
"""Side of the squares of pixels that become one place of the first level."""
_PRECISE = torch.float32
"""The nets are small and asked once, so they need not be quick."""
_LAYERS = 2
"""Residual blocks of a level, in the original layout of full adapters, which does not group them."""


class PictureAdapter:
    """One adapter on the device; what it makes of the latest pictures stays."""

    def __init__(self, net: T2IAdapter, device: Device) -> None:
        self._net = net
        self._device = device
        self._channels = int(net.config.in_channels)
        self._known: OrderedDict[int, tuple[Any, list[torch.Tensor]]] = OrderedDict()

    def levels(self, chain: Sequence[Control]) -> list[torch.Tensor]:
        """What is added to each level of the UNet, the first the largest: (n, C, h, w) at each row's strength."""
        each = [[level * one.strength for level in self._seen(one.hint)] for one in chain]
        return [torch.cat(level) for level in zip(*each, strict=True)]

    def _seen(self, hint: torch.Tensor) -> list[torch.Tensor]:
        known = self._known.get(id(hint))
        if known is None:
            levels = [level.to(self._device.compute) for level in self._net(self._shown(hint))]
            # The picture is kept beside its levels, so that no other takes its place in memory.
            known = self._known[id(hint)] = hint, levels
            while len(self._known) > KEPT_PICTURES:
                self._known.popitem(last=False)
        self._known.move_to_end(id(hint))
        return known[1]

    def _shown(self, hint: torch.Tensor) -> torch.Tensor:
        """A picture (1, 3, H, W) in as many channels as the net has, its sides whole squares."""
        hint = self._device.sent(hint, _PRECISE)
        cell = self._net.downscale_factor
        whole = [math.ceil(side / cell) * cell for side in hint.shape[-2:]]
        if whole != list(hint.shape[-2:]):
            hint = interpolate(hint, whole, mode="nearest-exact")
        if self._channels == 1:
            hint = hint.mean(dim=1, keepdim=True)
        return hint


class Halved(torch.nn.Module):
    """Every two by two places as one; of an odd number, the first and the last have nothing beside them."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return avg_pool2d(x, 2, padding=(x.shape[-2] % 2, x.shape[-1] % 2))


def is_picture_adapter(checkpoint: Checkpoint) -> bool:
    return checkpoint.prefix(("", _PREFIX), *_MARKERS) is not None


def check_picture_adapter(file: ModelFile, checkpoint: Checkpoint, unet: Any) -> Config:
    """The config of a file's net. Raises BadInput when it is not for UNets like `unet`."""
    try:
        config = _config(_renamed(checkpoint))
    except KeyError:
        raise _incomplete(file) from None
    _refuse_unfit(file, config, unet)
    return config


def load_picture_adapter(file: ModelFile, unet: Any, device: Device) -> PictureAdapter:
    """The adapter of a file or folder, made for UNets like `unet`. Raises BadInput."""
    net: Any
    if file.path.is_dir():
        _refuse_unfit(file, read_json(file.path / "config.json"), unet)
        net = from_folder(T2IAdapter, file.path, _PRECISE)
    else:
        checkpoint = Checkpoint(file.path)
        config = check_picture_adapter(file, checkpoint, unet)
        net = built(T2IAdapter, config)
        if config["adapter_type"] != LIGHT:
            _like_the_file(net, _renamed(checkpoint))
        named = ((new, checkpoint.tensor(old)) for old, new in _names(checkpoint).items())
        try:
            fill(net, file.name, named, _PRECISE)
            refuse_gaps(file.name, net)
        except BadInput:
            raise _incomplete(file) from None
    for block in net.adapter.body:
        if isinstance(getattr(block, "downsample", None), torch.nn.AvgPool2d):
            block.downsample = Halved()
    settle(net, device.place, _PRECISE)
    return PictureAdapter(net, device)


def _incomplete(file: ModelFile) -> BadInput:
    return BadInput(f"The T2I-Adapter '{file.name}' is damaged or incomplete. Download it again.")


def _refuse_unfit(file: ModelFile, config: Config, unet: Any) -> None:
    """Adapters add to every level of a UNet; those for XL to the middle too, to the first level once it is halved."""
    levels = tuple(unet.config.block_out_channels)
    channels = list(config.get("channels", ()))
    if config.get("adapter_type") == FULL_XL:
        fits = channels == [*levels, levels[-1]] and unet.config.down_block_types[0] == "DownBlock2D"
    else:
        is_light = config.get("adapter_type") == LIGHT
        fits = [*channels, *channels[-1:]] == list(levels) if is_light else channels == list(levels)
    if not fits:
        raise wrong_family(file)


def _names(checkpoint: Checkpoint) -> dict[str, str]:
    """The file's names of the net's tensors, with diffusers' own."""
    prefix = checkpoint.prefix(("", _PREFIX), *_MARKERS) or ""
    shapes = checkpoint.below(prefix)
    translated = _as_it_is
    if _MARKERS[2] not in shapes:
        translated = _of_full if _MARKERS[1] in shapes else _of_light
    return {prefix + name: _PREFIX + translated(name) for name in shapes}


def _renamed(checkpoint: Checkpoint) -> Shapes:
    """Shapes by diffusers' names, without the prefix."""
    return {new.removeprefix(_PREFIX): checkpoint.shapes[old] for old, new in _names(checkpoint).items()}


def _as_it_is(name: str) -> str:
    return name


def _of_light(name: str) -> str:
    """`body.1.body.2.block1.weight`: level 1, block 2."""
    return re.sub(r"(body\.\d+)\.body\.", r"\1.resnets.", name)


def _of_full(name: str) -> str:
    """`body.5.block1.weight`: blocks are counted through all levels; the first of a level brings what is before it."""
    match = re.fullmatch(r"body\.(\d+)\.(.+)", name)
    if match is None:
        return name
    level, layer = divmod(int(match[1]), _LAYERS)
    if match[2].startswith("block"):
        return f"body.{level}.resnets.{layer}.{match[2]}"
    return f"body.{level}.{match[2].replace('down_opt.op.', 'downsample.')}"


def _config(shapes: Shapes) -> Config:
    """T2IAdapter's config from names in diffusers' spelling. Raises KeyError for what is incomplete."""
    levels = range(count(shapes, r"body\.(\d+)\."))
    is_light = "body.0.out_conv.weight" in shapes
    width = "body.{}.out_conv.weight" if is_light else "body.{}.resnets.0.block1.weight"
    channels = [shapes[width.format(level)][0] for level in levels]
    inputs = shapes["body.0.in_conv.weight" if is_light else "conv_in.weight"][1]
    is_xl = not is_light and inputs in (_CELL_XL**2, 3 * _CELL_XL**2)
    cell = _CELL_XL if is_xl else _CELL
    return {
        "in_channels": inputs // cell**2,
        # The last two levels of light ones are as wide as each other, and diffusers counts them once.
        "channels": channels[:-1] if is_light else channels,
        "num_res_blocks": count(shapes, r"body\.0\.resnets\.(\d+)\."),
        "downscale_factor": cell,
        "adapter_type": LIGHT if is_light else FULL_XL if is_xl else FULL,
    }


def _like_the_file(net: Any, shapes: Shapes) -> None:
    """Give a full adapter the convolutions that a few early files have where others have smaller ones or none."""
    for number, block in enumerate(net.adapter.body):
        size = shapes[f"body.{number}.resnets.0.block2.weight"][-1]
        for layer in block.resnets:
            if layer.block2.kernel_size[0] != size:
                layer.block2 = _wider(layer.block2, size)
        if block.in_conv is not None and block.in_conv.kernel_size[0] != size:
            block.in_conv = _wider(block.in_conv, size)
        if down := shapes.get(f"body.{number}.downsample.weight"):
            block.downsample = torch.nn.Conv2d(down[1], down[0], down[2], stride=2, padding=1, device="meta")


def _wider(convolution: torch.nn.Conv2d, size: int) -> torch.nn.Conv2d:
    inputs, outputs = convolution.in_channels, convolution.out_channels
    return torch.nn.Conv2d(inputs, outputs, size, padding=size // 2, device="meta")

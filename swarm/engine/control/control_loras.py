"""Control-LoRAs: ControlNets that share the weights of the UNet they stand beside, and differ from them by little.

A file holds differences of low rank (`x.up`, `x.down`), weights of its own, and the convolutions that see the guiding
picture and speak to the UNet. Every other weight is read from the UNet at each call: nothing is kept twice, and LoRAs
that are in the UNet's weights count here too, as in ComfyUI.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from diffusers import ControlNetModel
from torch.nn.functional import conv2d, linear

from swarm.base.errors import BadInput
from swarm.engine.control.control_layouts import net_config, old_name, wrong_family
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import built, fill, refuse_gaps
from swarm.engine.loras.branches import through
from swarm.jobs.job import ModelFile

MARKER = "lora_controlnet"
_NEEDED = ("controlnet_cond_embedding.conv_in.weight", "controlnet_down_blocks.0.weight")
_LOW_RANK = {"up": "down", "down": "up"}
"""The two halves of a difference, each with the other."""
Pieces = Mapping[str, torch.Tensor]


class Lent(torch.nn.Module):
    """A layer of a net that computes as the UNet's of the same name, with what the file has for it.

    `pieces`: `weight` and `bias` instead of the UNet's, `up` (out, rank) and `down` (rank, …) besides.
    """

    own_weight: torch.Tensor | None
    own_bias: torch.Tensor | None
    up: torch.Tensor | None
    down: torch.Tensor | None

    def __init__(self, lender: Any, pieces: Pieces) -> None:
        super().__init__()
        # In a tuple it is no part of this module, which may be moved about without it.
        self._lender = (lender,)
        self.register_buffer("own_weight", _like(pieces.get("weight"), lender.weight))
        self.register_buffer("own_bias", _like(pieces.get("bias"), lender.bias))
        up, down = pieces.get("up"), pieces.get("down")
        if up is not None and down is not None:
            rank, ends = len(down), (1,) * (lender.weight.ndim - 2)
            up, down = up.reshape(-1, rank, *ends), down.reshape(rank, *lender.weight.shape[1:])
        self.register_buffer("up", up)
        self.register_buffer("down", down)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        (lender,) = self._lender
        # The UNet's weights may rest elsewhere, and smaller.
        weight = lender.weight.to(x) if self.own_weight is None else self.own_weight
        bias = lender.bias if self.own_bias is None else self.own_bias
        said = through(lender, x, weight, None if bias is None else bias.to(x))
        if self.up is None or self.down is None:
            return said
        narrow = through(lender, x, self.down)
        return said + (conv2d(narrow, self.up) if self.up.ndim == 4 else linear(narrow, self.up))


def _like(own: torch.Tensor | None, weight: torch.Tensor) -> torch.Tensor | None:
    return None if own is None else own.reshape(weight.shape)


def is_control_lora(checkpoint: Checkpoint) -> bool:
    return MARKER in checkpoint.shapes


def check_control_lora(file: ModelFile, checkpoint: Checkpoint, unet: Any) -> None:
    """Raises BadInput when a file's differences are not of UNets like `unet`; reads its header only."""
    if int(unet.config.in_channels) != int(unet.config.out_channels):
        raise BadInput(f"The Control-LoRA '{file.name}' cannot stand beside a model that sees more than its latent.")
    shapes = {new: checkpoint.shapes[old] for old, new in _names(checkpoint, unet).items()}
    if any(name not in shapes for name in _NEEDED):
        raise BadInput(f"The Control-LoRA '{file.name}' is damaged or incomplete. Download it again.")
    lenders = dict(unet.named_modules())
    for name in shapes:
        module, _, leaf = name.rpartition(".")
        if not _fits(shapes, module, leaf, getattr(lenders.get(module), leaf if leaf == "bias" else "weight", None)):
            raise wrong_family(file)


def _fits(shapes: Shapes, module: str, leaf: str, lent: torch.Tensor | None) -> bool:
    """Whether a tensor fits the UNet's; what the UNet has nothing for is the net's own."""
    shape = shapes[f"{module}.{leaf}"]
    if leaf not in _LOW_RANK:
        return lent is None or prod(shape) == lent.numel()
    other = shapes.get(f"{module}.{_LOW_RANK[leaf]}")
    if lent is None or other is None:
        return False
    rank, rest = (shape[1], len(lent)) if leaf == "up" else (shape[0], lent[0].numel())
    return prod(shape) == rank * rest and rank == (other[0] if leaf == "up" else other[1])


def load_control_lora(file: ModelFile, checkpoint: Checkpoint, unet: Any, device: Device) -> Any:
    """The net of a file beside `unet`, not yet on the device. Raises BadInput."""
    check_control_lora(file, checkpoint, unet)
    names = _names(checkpoint, unet)
    net = built(
        ControlNetModel, net_config(ControlNetModel, {new: checkpoint.shapes[old] for old, new in names.items()}, unet)
    )
    lenders = {
        name: module for name, module in unet.named_modules() if next(module.parameters(False), None) is not None
    }
    known = {new: old for old, new in names.items()}
    for name, module in list(net.named_modules()):
        if name in lenders and next(module.parameters(False), None) is not None:
            parts = {part: f"{name}.{part}" for part in ("weight", "bias", *_LOW_RANK)}
            pieces = {part: checkpoint.tensor(known[new]) for part, new in parts.items() if new in known}
            net.set_submodule(name, Lent(lenders[name], pieces))
    fill(net, file.name, ((new, checkpoint.tensor(old)) for new, old in known.items()), device.compute)
    refuse_gaps(file.name, net)
    return net


def _names(checkpoint: Checkpoint, unet: Any) -> dict[str, str]:
    """The file's names with diffusers' own."""
    layers = int(unet.config.layers_per_block)
    return {name: old_name(name, layers) for name in checkpoint.shapes if name != MARKER}

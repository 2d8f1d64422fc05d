"""RRDBNet, the network of ESRGAN and Real-ESRGAN: residual blocks within residual blocks, then doublings of the size.

Three spellings of the same layers are in use; all are read into the names of this module.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad, pixel_unshuffle

_SLOPE = 0.2
_RESIDUAL = 0.2
_RENAMED = (
    (r"^model\.0\.", "first."),
    (r"^model\.1\.sub\.(\d+)\.RDB(\d)\.conv(\d)\.0\.", r"blocks.\1.\2.\3."),
    (r"^model\.1\.sub\.\d+\.(weight|bias)$", r"after.\1"),
    (r"^conv_first\.", "first."),
    (r"^(?:RRDB_trunk|body)\.(\d+)\.(?:RDB|rdb)(\d)\.conv(\d)\.", r"blocks.\1.\2.\3."),
    (r"^(?:trunk_conv|conv_body)\.", "after."),
    (r"^(?:upconv|conv_up)(\d)\.", r"ups.\1."),
    (r"^(?:HRconv|conv_hr)\.", "high."),
    (r"^conv_last\.", "last."),
)


class _Dense(nn.Module):
    """Five convolutions, each of which sees all before it."""

    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 6):
            out = width if number == 5 else growth
            self.add_module(str(number), nn.Conv2d(width + (number - 1) * growth, out, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        seen = x
        for number in range(1, 5):
            seen = torch.cat([seen, leaky_relu(self.get_submodule(str(number))(seen), _SLOPE)], dim=1)
        made: Tensor = self.get_submodule("5")(seen)
        return made * _RESIDUAL + x


class _Block(nn.Module):
    def __init__(self, width: int, growth: int) -> None:
        super().__init__()
        for number in range(1, 4):
            self.add_module(str(number), _Dense(width, growth))

    def forward(self, x: Tensor) -> Tensor:
        made = x
        for dense in self.children():
            made = dense(made)
        return made * _RESIDUAL + x


class RrdbNet(nn.Module):
    """Images (n, 3, H, W), 0 to 1, made `scale` times as large. `fold`: how much smaller the first layer sees them."""

    def __init__(self, *, width: int, growth: int, blocks: int, doublings: int, fold: int, out: int) -> None:
        super().__init__()
        self.fold = fold
        self.scale = 2**doublings // fold
        self.first = nn.Conv2d(3 * fold * fold, width, 3, padding=1)
        self.blocks = nn.ModuleList(_Block(width, growth) for _ in range(blocks))
        self.after = nn.Conv2d(width, width, 3, padding=1)
        self.ups = nn.ModuleDict({str(k + 1): nn.Conv2d(width, width, 3, padding=1) for k in range(doublings)})
        self.high = nn.Conv2d(width, width, 3, padding=1)
        self.last = nn.Conv2d(width, out, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        if self.fold > 1:
            image = pad(image, (0, -width % self.fold, 0, -height % self.fold), mode="replicate")
            image = pixel_unshuffle(image, self.fold)
        x = self.first(image)
        made = x
        for block in self.blocks:
            made = block(made)
        x = x + self.after(made)
        for up in self.ups.values():
            x = leaky_relu(up(interpolate(x, scale_factor=2.0, mode="nearest")), _SLOPE)
        made = self.last(leaky_relu(self.high(x), _SLOPE))
        return made[..., : height * self.scale, : width * self.scale]


def is_rrdb(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of an RRDBNet, in any spelling, and of nothing that only begins like one."""
    dense = any(re.match(r"^(model\.1\.sub|RRDB_trunk|body)\.0\.(RDB|rdb)1\.conv1\.", name) for name in weights)
    return dense and not any("conv1x1" in name for name in weights)


def rrdb(weights: Mapping[str, Tensor]) -> tuple[RrdbNet, dict[str, Tensor]]:
    """A network of the weights' shape, and the weights by its names. Raises KeyError when layers are missing."""
    named = {_renamed(name): tensor for name, tensor in _tail_named(weights).items()}
    blocks = 1 + max(int(found[1]) for name in named if (found := re.match(r"blocks\.(\d+)\.", name)))
    first = named["first.weight"]
    net = RrdbNet(
        width=first.shape[0],
        growth=named["blocks.0.1.1.weight"].shape[0],
        blocks=blocks,
        doublings=len({name.split(".")[1] for name in named if name.startswith("ups.")}),
        fold={3: 1, 12: 2, 48: 4}[first.shape[1]],
        out=named["last.weight"].shape[0],
    )
    return net, named


def _renamed(name: str) -> str:
    for pattern, ours in _RENAMED:
        name, count = re.subn(pattern, ours, name)
        if count:
            break
    return name


def _tail_named(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The first spelling numbers the layers after the blocks one after another: doublings, then the last two."""
    numbers = sorted({int(found[1]) for name in weights if (found := re.match(r"model\.(\d+)\.weight$", name))})
    tail = [number for number in numbers if number > 1]
    ours = {number: f"conv_up{place + 1}" for place, number in enumerate(tail[:-2])}
    ours |= dict(zip(tail[-2:], ("conv_hr", "conv_last"), strict=False))
    renamed = {}
    for name, tensor in weights.items():
        found = re.match(r"model\.(\d+)\.(weight|bias)$", name)
        layer = ours.get(int(found[1])) if found else None
        renamed[f"{layer}.{found[2]}" if found and layer else name] = tensor
    return renamed

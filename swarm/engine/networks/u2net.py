"""U²-Net and ISNet: what stands in front, told from its background. U-shaped blocks, in a larger U.

Layers have the published names, so published weights fit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, relu

DEPTHS = (7, 6, 5, 4)
"""Levels of the first stages' blocks; the two innermost look further instead of going down."""
_FLAT = 4
_STAGES = 6


class _Layer(nn.Module):
    """Convolution, norm, relu."""

    def __init__(self, into: int, out: int, reach: int = 1) -> None:
        super().__init__()
        self.conv_s1 = nn.Conv2d(into, out, 3, padding=reach, dilation=reach)
        self.bn_s1 = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn_s1(self.conv_s1(x)))


class _Block(nn.Module):
    """A small U of `depth` levels; a flat one keeps its size and widens its reach."""

    def __init__(self, depth: int, into: int, middle: int, out: int, *, flat: bool) -> None:
        super().__init__()
        self.depth, self.flat = depth, flat
        self.rebnconvin = _Layer(into, out)
        for level in range(1, depth + 1):
            reach = 2 ** (level - 1) if flat else 2 if level == depth else 1
            self.add_module(f"rebnconv{level}", _Layer(out if level == 1 else middle, middle, reach))
        for level in range(depth - 1, 0, -1):
            reach = 2 ** (level - 1) if flat else 1
            self.add_module(f"rebnconv{level}d", _Layer(middle * 2, out if level == 1 else middle, reach))

    def forward(self, x: Tensor) -> Tensor:
        begin = self.rebnconvin(x)
        made: list[Tensor] = []
        seen = begin
        for level in range(1, self.depth + 1):
            seen = self.get_submodule(f"rebnconv{level}")(seen)
            made.append(seen)
            if not self.flat and level < self.depth - 1:
                seen = _half(seen)
        back = made.pop()
        for level in range(self.depth - 1, 0, -1):
            beside = made.pop()
            back = self.get_submodule(f"rebnconv{level}d")(torch.cat([_like(back, beside), beside], dim=1))
        result: Tensor = back + begin
        return result


class U2Net(nn.Module):
    """Images (n, 3, H, W), normalised, to how surely each place is in front: (n, 1, H, W), 0 to 1."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """`shapes`: of the weights, which say how wide each block is. Raises KeyError when one is missing."""
        super().__init__()
        self.halves = "conv_in.weight" in shapes
        if self.halves:
            out, into = shapes["conv_in.weight"][:2]
            self.conv_in = nn.Conv2d(into, out, 3, stride=2, padding=1)
        for name in [f"stage{k}" for k in range(1, 7)] + [f"stage{k}d" for k in range(5, 0, -1)]:
            self.add_module(name, _block(name, shapes))
        for k in range(1, _STAGES + 1):
            self.add_module(f"side{k}", nn.Conv2d(shapes[f"side{k}.weight"][1], 1, 3, padding=1))
        if "outconv.weight" in shapes:
            self.outconv = nn.Conv2d(_STAGES, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        seen = self.conv_in(image) if self.halves else image
        made: list[Tensor] = []
        for k in range(1, _STAGES + 1):
            seen = self.get_submodule(f"stage{k}")(seen if k == 1 else _half(seen))
            made.append(seen)
        back = made.pop()
        sides = [self.get_submodule(f"side{_STAGES}")(back)]
        for k in range(_STAGES - 1, 0, -1):
            beside = made.pop()
            back = self.get_submodule(f"stage{k}d")(torch.cat([_like(back, beside), beside], dim=1))
            sides.append(self.get_submodule(f"side{k}")(back))
        sides.reverse()
        first: Tensor = sides[0]
        if hasattr(self, "outconv"):
            first = self.outconv(torch.cat([_like(side, first) for side in sides], dim=1))
        return _like(first, image).sigmoid()


def is_u2net(names: Mapping[str, object]) -> bool:
    """Whether weights of these names are those of a U²-Net or an ISNet."""
    return {"stage1.rebnconvin.conv_s1.weight", "stage1d.rebnconv1d.conv_s1.weight", "side1.weight"} <= set(names)


def _block(name: str, shapes: Mapping[str, tuple[int, ...]]) -> _Block:
    out, into = shapes[f"{name}.rebnconvin.conv_s1.weight"][:2]
    middle = shapes[f"{name}.rebnconv1.conv_s1.weight"][0]
    found = re.findall(r"\d", name)
    level = int(found[0])
    flat = level > len(DEPTHS)
    return _Block(_FLAT if flat else DEPTHS[level - 1], into, middle, out, flat=flat)


def _half(x: Tensor) -> Tensor:
    return max_pool2d(x, 2, stride=2, ceil_mode=True)


def _like(x: Tensor, other: Tensor) -> Tensor:
    return interpolate(x, size=tuple(other.shape[-2:]), mode="bilinear")

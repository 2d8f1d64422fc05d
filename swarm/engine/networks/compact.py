"""SRVGGNetCompact, the small network of Real-ESRGAN: convolutions in a row, and the picture itself as the ground."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isqrt

from torch import Tensor, nn
from torch.nn.functional import interpolate, pixel_shuffle


class CompactNet(nn.Module):
    """Images (n, 3, H, W), 0 to 1, made `scale` times as large."""

    def __init__(self, *, width: int, layers: int, scale: int) -> None:
        """`layers`: convolutions between the first and the last."""
        super().__init__()
        self.scale = scale
        self.body = nn.ModuleList([nn.Conv2d(3, width, 3, padding=1), nn.PReLU(width)])
        for _ in range(layers):
            self.body += [nn.Conv2d(width, width, 3, padding=1), nn.PReLU(width)]
        self.body.append(nn.Conv2d(width, 3 * scale * scale, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        made = image
        for layer in self.body:
            made = layer(made)
        return pixel_shuffle(made, self.scale) + interpolate(image, scale_factor=float(self.scale), mode="nearest")


def is_compact(weights: Mapping[str, Tensor]) -> bool:
    """Whether these are the weights of a SRVGGNetCompact with learned slopes."""
    names = ("body.0.weight", "body.1.weight")
    return all(name in weights for name in names) and [weights[name].ndim for name in names] == [4, 1]


def compact(weights: Mapping[str, Tensor]) -> tuple[CompactNet, dict[str, Tensor]]:
    """A network of the weights' shape, and the weights. Raises KeyError when layers are missing."""
    last = max(int(found[1]) for name in weights if (found := re.match(r"body\.(\d+)\.", name)))
    scale = isqrt(weights[f"body.{last}.weight"].shape[0] // 3)
    return CompactNet(width=weights["body.0.weight"].shape[0], layers=last // 2 - 1, scale=scale), dict(weights)

"""Images and latents at another size, by the methods of the refine stage (swarm-t2i 9.8)."""

from __future__ import annotations

from functools import cache
from typing import Any

import swarm.architectures.families
from swarm.architectures.architecture import Architecture, LatentFormat
from swarm.architectures.detect import find_class
from swarm.base.registry import collect
from swarm.features.mask_images import resized

METHODS = {
    "lanczos": "Lanczos",
    "bicubic": "Bicubic",
    "area": "Area",
    "bilinear": "Bilinear",
    "nearest-exact": "Nearest-Exact",
}
LATENT_METHODS = {"bislerp": "Bislerp", **{id: name for id, name in METHODS.items() if id != "lanczos"}}

_PARALLEL = 1e-5
"""How far from 1 the cosine of vectors is that point the same way."""


def scaled(image: Any, method: str, width: int, height: int) -> Any:
    """An image (1, C, H, W), 0 to 1, at width × height. `method`: a key of METHODS. Cubic edges may overshoot."""
    if method == "lanczos":
        return resized(image, width, height)
    return interpolated(image, method, width, height)


def scaled_latent(latent: Any, method: str, width: int, height: int, family: str | None = None) -> Any:
    """A latent (1, C, h, w) at width × height cells. `method`: a key of LATENT_METHODS. `family`: the architecture's id
    of the model whose scale it has; vectors turn about the middle of its VAE's own scale."""
    if method == "bislerp":
        known = _latent_format(family or "")
        middle = known.shift * known.scale if known else 0.0
        return bislerp(latent + middle, width, height) - middle
    return interpolated(latent, method, width, height)


@cache
def _latent_format(family: str) -> LatentFormat | None:
    found = find_class(family, collect(swarm.architectures.families, Architecture))
    return found.latent if found else None


def interpolated(values: Any, method: str, width: int, height: int) -> Any:
    from torch.nn.functional import interpolate

    return interpolate(values, size=(height, width), mode=method)


def bislerp(latent: Any, width: int, height: int) -> Any:
    """Like bilinear, but along the sphere: directions of the channel vectors turn, lengths are mixed.

    What lies between two places of a latent keeps the length of its neighbours, so it is as strong as they are.
    """
    import torch

    first = _along(latent, width)
    return _along(first.transpose(-1, -2), height).transpose(-1, -2).to(torch.float32)


def _along(latent: Any, size: int) -> Any:
    """A latent (1, C, h, w) with `size` columns.

    Where a place falls on a column but for its last bits, the column after it may be taken for its neighbour: so do the
    pictures that this is compared with.
    """
    import torch
    from torch.nn.functional import interpolate

    columns = torch.arange(latent.shape[-1], dtype=torch.float32, device=latent.device).view(1, 1, 1, -1)
    after = (columns + 1).clamp(max=latent.shape[-1] - 1)
    places, following = (interpolate(each, size=(1, size), mode="bilinear").view(-1) for each in (columns, after))
    share = (places - places.floor()).to(latent.dtype)
    return _slerp(latent[..., places.long()], latent[..., following.long()], share)


def _slerp(one: Any, other: Any, share: Any) -> Any:
    """Between vectors along dimension 1: the first where they point the same way, straight where the opposite way."""
    import torch

    lengths = one.norm(dim=1, keepdim=True), other.norm(dim=1, keepdim=True)
    directions = [vector / length.clamp(min=1e-30) for vector, length in zip((one, other), lengths, strict=True)]
    cosine = (directions[0] * directions[1]).sum(dim=1, keepdim=True)
    angle = torch.acos(cosine.clamp(-1, 1))
    sine = torch.sin(angle)
    safe = torch.where(sine == 0, torch.ones_like(sine), sine)
    turned = torch.sin((1 - share) * angle) / safe * directions[0] + torch.sin(share * angle) / safe * directions[1]
    turned = turned * (lengths[0] * (1 - share) + lengths[1] * share)
    turned = torch.where(cosine > 1 - _PARALLEL, one, turned)
    return torch.where(cosine < _PARALLEL - 1, one * (1 - share) + other * share, turned)

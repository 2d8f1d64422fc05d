"""Images and latents at another size, by the methods of the refine stage (swarm-t2i 9.8)."""

from __future__ import annotations

from typing import Any

from swarm.features.mask_images import resized

METHODS = {
    "lanczos": "Lanczos",
    "bicubic": "Bicubic",
    "area": "Area",
    "bilinear": "Bilinear",
    "nearest-exact": "Nearest-Exact",
}
LATENT_METHODS = {"bislerp": "Bislerp", **{id: name for id, name in METHODS.items() if id != "lanczos"}}


def scaled(image: Any, method: str, width: int, height: int) -> Any:
    """An image (1, C, H, W), 0 to 1, at width × height. `method`: a key of METHODS."""
    if method == "lanczos":
        return resized(image, width, height)
    return interpolated(image, method, width, height).clamp(0, 1)


def scaled_latent(latent: Any, method: str, width: int, height: int) -> Any:
    """A latent (1, C, h, w) at width × height cells. `method`: a key of LATENT_METHODS."""
    if method == "bislerp":
        return bislerp(latent, width, height)
    return interpolated(latent, method, width, height)


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
    """A latent (1, C, h, w) with `size` columns."""
    import torch

    have = latent.shape[-1]
    places = ((torch.arange(size, device=latent.device) + 0.5) * have / size - 0.5).clamp(0, have - 1)
    left = places.floor().long()
    right = (left + 1).clamp(max=have - 1)
    share = (places - left).to(latent.dtype)
    return _slerp(latent[..., left], latent[..., right], share)


def _slerp(one: Any, other: Any, share: Any) -> Any:
    """Between vectors along dimension 1; straight where they point the same way, or one of them nowhere."""
    import torch

    lengths = one.norm(dim=1, keepdim=True), other.norm(dim=1, keepdim=True)
    directions = [vector / length.clamp(min=1e-12) for vector, length in zip((one, other), lengths, strict=True)]
    cosine = (directions[0] * directions[1]).sum(dim=1, keepdim=True).clamp(-1, 1)
    angle = torch.acos(cosine)
    sine = torch.sin(angle)
    straight = (sine.abs() < 1e-4) | (lengths[0] == 0) | (lengths[1] == 0)
    safe = torch.where(straight, torch.ones_like(sine), sine)
    turned = torch.sin((1 - share) * angle) / safe * directions[0] + torch.sin(share * angle) / safe * directions[1]
    turned = turned * (lengths[0] * (1 - share) + lengths[1] * share)
    return torch.where(straight, one * (1 - share) + other * share, turned)

"""Bringing the colours of a repainted picture back to those of the original, by what should not have changed.

Compares the pixels outside the mask in hue, saturation and value (swarm-t2i 9.7). Hue is left alone.
"""

from __future__ import annotations

from typing import Any

FEWEST_PIXELS = 50
"""With no more than this many pixels outside the mask there is nothing to go by."""


def matched(image: Any, original: Any, mask: Any, behavior: str) -> Any:
    """`image` (1, 3, H, W) with the saturation and value of `original`, as learnt where `mask` is 0.

    `behavior`: `Uniform` adds the mean difference, `Linear` fits a line to each of S and V, `Linear2` to S·V and V.
    """
    outside = mask[0, 0] == 0
    if behavior == "None" or int(outside.sum()) <= FEWEST_PIXELS:
        return image
    hue, saturation, value = to_hsv(image)
    _, wanted_saturation, wanted_value = to_hsv(original)
    if behavior == "Linear2":
        chroma = _fitted(saturation * value, wanted_saturation * wanted_value, outside)
        value = _fitted(value, wanted_value, outside).clamp(0, 1)
        saturation = chroma / value.clamp(min=1e-6)
    else:
        change = _shifted if behavior == "Uniform" else _fitted
        saturation = change(saturation, wanted_saturation, outside)
        value = change(value, wanted_value, outside)
    return to_rgb(hue, saturation.clamp(0, 1), value.clamp(0, 1))


def _shifted(found: Any, wanted: Any, where: Any) -> Any:
    return found + (wanted[where] - found[where]).mean()


def _fitted(found: Any, wanted: Any, where: Any) -> Any:
    """The line through (found, wanted) pairs, least squares; a shift where all of `found` is one value."""
    x, y = found[where], wanted[where]
    spread = ((x - x.mean()) ** 2).sum()
    if float(spread) < 1e-8:
        return _shifted(found, wanted, where)
    slope = ((x - x.mean()) * (y - y.mean())).sum() / spread
    return found * slope + (y.mean() - slope * x.mean())


def to_hsv(image: Any) -> tuple[Any, Any, Any]:
    """(hue 0 to 6, saturation 0 to 1, value 0 to 1), (H, W) each."""
    import torch

    red, green, blue = image[0, 0], image[0, 1], image[0, 2]
    value, which = image[0, :3].max(dim=0)
    span = value - image[0, :3].min(dim=0).values
    safe = torch.where(span > 0, span, torch.ones_like(span))
    sectors = torch.stack([(green - blue) / safe % 6, (blue - red) / safe + 2, (red - green) / safe + 4])
    hue = torch.where(span > 0, sectors.gather(0, which[None])[0], torch.zeros_like(span))
    saturation = torch.where(value > 0, span / value.clamp(min=1e-8), torch.zeros_like(span))
    return hue, saturation, value


def to_rgb(hue: Any, saturation: Any, value: Any) -> Any:
    """(1, 3, H, W) from what `to_hsv` gives."""
    import torch

    channels = []
    for turn in (5, 3, 1):
        place = (hue + turn) % 6
        dip = torch.minimum(place, 4 - place).clamp(0, 1)
        channels.append(value - value * saturation * dip)
    return torch.stack(channels)[None]

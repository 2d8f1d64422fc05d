"""Masks and the areas they mark, as tensors: growing, blurring, cropping, pasting back (swarm-t2i 9.7).

Masks are (1, 1, H, W), 0 to 1, 1 where something is to be made anew. Images are (1, 3, H, W), 0 to 1.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from PIL import Image

from swarm.features.colour_match import matched
from swarm.media.image import Drawn, Pixels

ROUNDED_TO = 64
HARDLY = 1 / 1024
"""Of a level: what a level that was divided by 255 may come back short by."""
SMALLEST_MARK = 0.01
"""What a mask must be at least to count as marked when its bounds are looked for."""
_WHOLE_BELL = 16
"""Up to this radius masks are softened in both directions at once; larger bells take too long so."""
COUNTS = 0.001
"""What a mask must be above for the result to be put there."""


def grown(mask: Any, pixels: int) -> Any:
    """(pixels + 1) // 2 passes of a 3×3 maximum."""
    from torch.nn.functional import max_pool2d

    for _ in range((pixels + 1) // 2):
        mask = max_pool2d(mask, 3, stride=1, padding=1)
    return mask


def dilated(mask: Any, pixels: int) -> Any:
    """Wider by `pixels` in each direction and less at corners: passes of a maximum over a pixel and its four
    neighbours."""
    import torch

    mask = mask.clone()
    for _ in range(pixels):
        before = mask.clone()
        for here, there in ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))):
            torch.maximum(mask[..., here, :], before[..., there, :], out=mask[..., here, :])
            torch.maximum(mask[..., here], before[..., there], out=mask[..., here])
    return mask


def blurred(mask: Any, radius: int) -> Any:
    """A bell of 2 * radius + 1 pixels, its edge at one standard deviation, the mask mirrored at its borders."""
    if radius < 1:
        return mask
    import torch
    from torch.nn.functional import conv2d, pad

    # A mirror needs more picture than it reflects.
    radius = min(radius, mask.shape[-1] - 1, mask.shape[-2] - 1)
    if radius < 1:
        return mask
    places = torch.linspace(-1.0, 1.0, 2 * radius + 1)
    if radius <= _WHOLE_BELL:
        # In one go and in this order the last bit comes out as in ComfyUI: of a white area it decides whether it is
        # quite white, and so whether it joins in at the first step.
        distance = torch.sqrt(places[:, None] * places[:, None] + places * places)
        whole = torch.exp(-(distance * distance) / 2.0)
        whole = (whole / whole.sum()).to(mask)
        return conv2d(pad(mask, (radius,) * 4, mode="reflect"), whole[None, None])
    bell = torch.exp(-0.5 * places**2)
    bell = (bell / bell.sum()).to(mask)
    mask = conv2d(pad(mask, (radius, radius, 0, 0), mode="reflect"), bell.view(1, 1, 1, -1))
    return conv2d(pad(mask, (0, 0, radius, radius), mode="reflect"), bell.view(1, 1, -1, 1))


def spread(mask: Any, low: float, high: float) -> Any:
    """What lies between two certainties, from 0 to 1."""
    return ((mask - low) / max(high - low, 1e-6)).clamp(0, 1)


def resized(image: Any, width: int, height: int) -> Any:
    """An image at another size, by Lanczos over its levels as bytes."""
    import torch

    levels = image[0].float().mul(255.0).clamp(0, 255).byte().permute(1, 2, 0).contiguous().cpu().numpy()
    scaled = Image.fromarray(levels).resize((width, height), Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(scaled, np.float32) / 255.0).permute(2, 0, 1)[None]


def at_size(image: Any, width: int, height: int) -> Any:
    """An image or mask at another size, in straight lines between its pixels."""
    from torch.nn.functional import interpolate

    return interpolate(image, size=(height, width), mode="bilinear")


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: Any) -> Any:
        """What of an image lies in it."""
        return image[..., self.y : self.y + self.height, self.x : self.x + self.width]


def bounds(mask: Any, margin: int, aspect: float | None = None) -> Box:
    """The marked area grown by `margin`, within the picture; the whole picture when nothing is marked.

    `aspect`: it is made higher or wider to this width by height, about its middle, as far as the picture goes.
    """
    height, width = mask.shape[-2:]
    marked = (mask[0, 0] > 0).nonzero()
    if len(marked) == 0:
        top = left = 0
        bottom, right = height, width
    else:
        top, left = (max(0, int(low) - margin) for low in marked.amin(dim=0))
        bottom, right = (int(high) + 1 + margin for high in marked.amax(dim=0))
        bottom, right = min(height, bottom), min(width, right)
    if aspect is None:
        return Box(left, top, right - left, bottom - top)
    wide, high = right - left, bottom - top
    if wide / high > aspect:
        y, tall = _about(top, high, wide / aspect, height)
        return Box(left, int(y), wide, int(tall))
    x, broad = _about(left, wide, high * aspect, width)
    return Box(int(x), top, int(broad), high)


def _about(begin: float, length: float, wanted: float, room: int) -> tuple[float, float]:
    """Where a side begins that grows to `wanted` about its middle, and how long it gets."""
    begin = max(0.0, begin - (wanted - length) / 2)
    return begin, min(float(room), begin + wanted) - begin


def working_size(box: Box, width: int, height: int) -> tuple[int, int]:
    """The size to make an area at: its own shape with as many pixels as width × height, rounded to 64."""
    scale = sqrt(width * height / (box.width * box.height))
    sides = (max(ROUNDED_TO, round(side * scale / ROUNDED_TO) * ROUNDED_TO) for side in (box.width, box.height))
    wide, high = sides
    return wide, high


def pasted(image: Any, piece: Any, box: Box, mask: Any, *, soft: bool, correction: str = "None") -> Any:
    """`image` with `piece` in `box`, where `mask` (both of the box's size) says: all that is marked at all, or, when
    `soft`, by how much. `correction`: how the piece's colours are fitted to the image's (features/colour_match.py)."""
    share = mask if soft else (mask > COUNTS).to(mask)
    result = image.clone()
    target = box.of(result)
    piece = matched(piece[:, :3].to(target), target, share, correction)
    target.copy_(target * (1.0 - share) + piece * share)
    return result


def eight_bits(image: Any) -> Any:
    """Values 0 to 1 as levels 0 to 255, uint8. Fractions are cut off, not rounded: ComfyUI saves so, and half a level
    in every pixel would tell the same picture apart."""
    return image.float().mul(255.0).add(HARDLY).clamp(0, 255).byte()


def as_pixels(image: Any) -> Pixels:
    """The colours of an image as bytes; a mask in gray."""
    levels = (image[0].expand(3, -1, -1)[:3] if image.shape[1] == 1 else image[0, :3]).permute(1, 2, 0)
    data = eight_bits(levels).cpu().numpy()
    return Pixels(width=data.shape[1], height=data.shape[0], mode="RGB", data=data.tobytes())


def as_picture(image: Any) -> Drawn:
    """An image or mask as a value of a request."""
    pixels = as_pixels(image)
    file = io.BytesIO()
    Image.frombytes("RGB", (pixels.width, pixels.height), pixels.data).save(file, "PNG", compress_level=1)
    return Drawn(data=file.getvalue(), mime="image/png", image=image)

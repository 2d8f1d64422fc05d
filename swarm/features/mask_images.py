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

from swarm.media.image import Picture, Pixels

ROUNDED_TO = 64
HARDLY = 1 / 1024
"""Of a level: what a level that was divided by 255 may come back short by."""
SMALLEST_MARK = 0.01
"""What a mask must be at least to count as marked when its bounds are looked for."""


def grown(mask: Any, pixels: int) -> Any:
    """(pixels + 1) // 2 passes of a 3×3 maximum."""
    from torch.nn.functional import max_pool2d

    for _ in range((pixels + 1) // 2):
        mask = max_pool2d(mask, 3, stride=1, padding=1)
    return mask


def widened(mask: Any, pixels: int) -> Any:
    """A maximum over squares with sides of `pixels`; an even square reaches one pixel further left and up."""
    from torch.nn.functional import max_pool2d, pad

    before, after = pixels // 2, (pixels - 1) // 2
    return max_pool2d(pad(mask, (before, after, before, after)), pixels, stride=1)


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
    bell = torch.exp(-0.5 * places**2)
    bell = (bell / bell.sum()).to(mask)
    mask = conv2d(pad(mask, (radius, radius, 0, 0), mode="reflect"), bell.view(1, 1, 1, -1))
    return conv2d(pad(mask, (0, 0, radius, radius), mode="reflect"), bell.view(1, 1, -1, 1))


def resized(image: Any, width: int, height: int) -> Any:
    """An image or mask at another size, by Lanczos."""
    if tuple(image.shape[-2:]) == (height, width):
        return image
    import torch

    planes = [
        np.asarray(Image.fromarray(plane.cpu().numpy()).resize((width, height), Image.Resampling.LANCZOS))
        for plane in image[0].float()
    ]
    return torch.from_numpy(np.stack(planes))[None].clamp(0, 1)


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


def bounds(mask: Any, margin: int) -> Box:
    """The marked area grown by `margin`, within the picture; the whole picture when nothing is marked."""
    height, width = mask.shape[-2:]
    marked = (mask[0, 0] >= SMALLEST_MARK).nonzero()
    if len(marked) == 0:
        return Box(0, 0, width, height)
    top, left = (max(0, int(low) - margin) for low in marked.amin(dim=0))
    bottom, right = (int(high) + 1 + margin for high in marked.amax(dim=0))
    return Box(left, top, min(width, right) - left, min(height, bottom) - top)


def working_size(box: Box, width: int, height: int) -> tuple[int, int]:
    """The size to make an area at: its own shape with as many pixels as width × height, rounded to 64."""
    scale = sqrt(width * height / (box.width * box.height))
    sides = (max(ROUNDED_TO, round(side * scale / ROUNDED_TO) * ROUNDED_TO) for side in (box.width, box.height))
    wide, high = sides
    return wide, high


def pasted(image: Any, piece: Any, box: Box, mask: Any) -> Any:
    """`image` with `piece` (of any size) in `box`, where `mask` (the picture's size) says."""
    piece = resized(piece[:, :3], box.width, box.height)
    result = image.clone()
    share = box.of(mask)
    target = box.of(result)
    target.copy_(target * (1.0 - share) + piece.to(target) * share)
    return result


def composite_mask(mask: Any, *, soft: bool) -> Any:
    """The mask a result is put back with: whatever is marked at all, or by how much."""
    return mask if soft else (mask > 0.001).to(mask)


def eight_bits(image: Any) -> Any:
    """Values 0 to 1 as levels 0 to 255, uint8. Fractions are cut off, not rounded: ComfyUI saves so, and half a level
    in every pixel would tell the same picture apart."""
    return image.float().mul(255.0).add(HARDLY).clamp(0, 255).byte()


def as_pixels(image: Any) -> Pixels:
    """The colours of an image as bytes; a mask in gray."""
    levels = (image[0].expand(3, -1, -1)[:3] if image.shape[1] == 1 else image[0, :3]).permute(1, 2, 0)
    data = eight_bits(levels).cpu().numpy()
    return Pixels(width=data.shape[1], height=data.shape[0], mode="RGB", data=data.tobytes())


def as_picture(image: Any) -> Picture:
    """The colours of an image as a file; a mask in gray."""
    pixels = as_pixels(image)
    file = io.BytesIO()
    Image.frombytes("RGB", (pixels.width, pixels.height), pixels.data).save(file, "PNG", compress_level=1)
    return Picture(data=file.getvalue(), mime="image/png")

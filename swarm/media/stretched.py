"""Input pictures as a walk sees them: upright, in colours, stretched to the size of the result."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from swarm.base.errors import BadInput
from swarm.media.image import Picture

_FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
_MAX_PIXELS = 128 * 1024 * 1024


def opened(picture: Picture, width: int = 0, height: int = 0, mode: str = "RGB") -> Image.Image:
    """An input picture in `mode` (RGB, RGBA or L), stretched to width × height if they are given. Raises BadInput.

    What is transparent keeps the colour it has in the file, unless it is stretched.
    """
    try:
        with Image.open(io.BytesIO(picture.data), formats=_FORMATS) as image:
            if image.width * image.height > _MAX_PIXELS:
                raise BadInput(f"The input image is too large: {image.width}x{image.height}.")
            upright = _in_eight_bits(ImageOps.exif_transpose(image))
            if not width or upright.size == (width, height):
                return upright.convert(mode)
            return stretched(upright, width, height).convert(mode)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadInput(f"The input image cannot be read: {error}") from None


def _in_eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray as 8-bit gray: Pillow's own conversion clips instead of scaling."""
    if not image.mode.startswith("I;16"):
        return image
    return image.convert("I").point(lambda value: value / 256).convert("L")


def stretched(image: Image.Image, width: int, height: int) -> Image.Image:
    """An image at another size, RGB or RGBA, by a cubic filter that is wider where the picture shrinks.

    Both directions are filtered before levels are rounded, and colours count by how opaque they are.
    """
    has_alpha = "A" in image.getbands() or "transparency" in image.info
    levels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"), np.float32)
    if has_alpha:
        levels = np.concatenate([levels[..., :3] * (levels[..., 3:] / 255.0), levels[..., 3:]], axis=-1)
    scaled = np.stack([_filtered(levels[..., band], width, height) for band in range(levels.shape[-1])], axis=-1)
    if has_alpha:
        alpha = scaled[..., 3:]
        scaled[..., :3] *= np.divide(255.0, alpha, out=np.zeros_like(alpha), where=alpha > 0)
    return Image.fromarray(np.floor(scaled + 0.5).clip(0, 255).astype(np.uint8))


def _filtered(band: Any, width: int, height: int) -> Any:
    plane = Image.fromarray(np.ascontiguousarray(band))
    return np.array(plane.resize((width, height), Image.Resampling.BICUBIC))

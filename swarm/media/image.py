"""Pictures as values: encoded files and raw pixels. Decoding is capped, so no upload can exhaust memory."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from swarm.base.errors import BadInput

MAX_PIXELS = 64 * 1024 * 1024
"""The largest picture that is decoded, unless the caller says otherwise."""

DECODABLE = ("PNG", "JPEG", "WEBP", "GIF", "AVIF")
"""Pillow's names of the formats that are read. SVG never: it is a program."""

_DAMAGED = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error, IndexError, KeyError, TypeError)
"""What Pillow's readers raise for malformed files."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An encoded picture file.

    `data`: the file's bytes. `mime`: e.g. `image/png`. `path`: where the user took it from, relative to their output
    folder (`inputs/cat.png`), when it came from history; recorded in metadata.
    """

    data: bytes
    mime: str
    path: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Drawn(Picture):
    """A picture in the making, handed on as it is: `image` is a tensor (1, C, H, W), 0 to 1, and `data` a file of it
    for whoever reads files, in which its levels are cut to bytes."""

    image: Any


@dataclass(frozen=True, kw_only=True)
class Pixels:
    """Raw pixels, row by row from the top left. `mode`: `RGB` or `RGBA`, 8 bits a channel; `RGB16` or `RGBA16`, 16
    bits a channel, the higher byte first."""

    width: int
    height: int
    mode: str
    data: bytes


def guess_mime(data: bytes) -> str | None:
    """The type of a media file by its first bytes, whatever it calls itself; None for anything we do not know."""
    for offset, magic, mime in _MAGIC:
        if data[offset : offset + len(magic)] == magic:
            return mime
    if data[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(data[8:12])
    if data[4:8] == b"ftyp":
        return {b"avif": "image/avif", b"avis": "image/avif", b"qt  ": "video/quicktime"}.get(data[8:12], "video/mp4")
    return None


_MAGIC = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", "audio/ogg"),
    (0, b"ID3", "audio/mpeg"),
)


def open_image(data: bytes, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A Pillow image with its header read and its size checked, nothing decoded yet. Raises BadInput."""
    if guess_mime(data) not in {"image/png", "image/jpeg", "image/webp", "image/gif", "image/avif"}:
        raise BadInput("This is not a PNG, JPEG, WEBP, GIF or AVIF picture.")
    try:
        image = Image.open(io.BytesIO(data), formats=DECODABLE)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput(_too_large(max_pixels)) from None
    except _DAMAGED:
        raise BadInput("The picture's file is damaged.") from None
    if image.width * image.height > max_pixels:
        raise BadInput(_too_large(max_pixels))
    return image


def _too_large(max_pixels: int) -> str:
    return f"The picture is too large: at most {max_pixels / 1_000_000:.0f} megapixels can be opened."


def load(image: Image.Image) -> Image.Image:
    """The first frame of an opened image, upright, as RGB or RGBA. Raises BadInput when the data is broken."""
    try:
        image.load()
        upright = ImageOps.exif_transpose(image)
        return upright if upright.mode in ("RGB", "RGBA") else upright.convert(_plain_mode(upright))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadInput("The picture's file is damaged.") from None
    except _DAMAGED:
        raise BadInput("The picture's file is damaged or cut off.") from None


def _plain_mode(image: Image.Image) -> str:
    return "RGBA" if "transparency" in image.info or image.mode in ("LA", "PA", "La", "RGBa") else "RGB"


def decode(picture: Picture, max_pixels: int = MAX_PIXELS) -> Pixels:
    """The first frame's pixels, turned upright as EXIF says. Raises BadInput for what is no picture or too large."""
    image = open_image(picture.data, max_pixels)
    if image.mode.startswith("I;16"):
        image = _eight_bits(image)
    return from_pillow(load(image))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit grey as 8-bit grey: Pillow's own conversion clips instead of scaling."""
    try:
        return image.convert("I").point(lambda value: value / 256).convert("L")
    except _DAMAGED:
        raise BadInput("The picture's file is damaged or cut off.") from None


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """The picture stretched to `width` x `height`, Lanczos filtered."""
    if (pixels.width, pixels.height) == (width, height):
        return pixels
    return from_pillow(to_pillow(pixels).resize((width, height), Image.Resampling.LANCZOS))


def eight_bits(pixels: Pixels) -> Pixels:
    """The same picture with 8 bits a channel."""
    if not pixels.mode.endswith("16"):
        return pixels
    levels = (np.frombuffer(pixels.data, ">u2").astype(np.uint32) + 128) // 257
    data = levels.astype(np.uint8).tobytes()
    return Pixels(width=pixels.width, height=pixels.height, mode=pixels.mode.removesuffix("16"), data=data)


def to_pillow(pixels: Pixels) -> Image.Image:
    """With 8 bits a channel, which is all that Pillow knows of colours."""
    pixels = eight_bits(pixels)
    return Image.frombytes(pixels.mode, (pixels.width, pixels.height), pixels.data)


def from_pillow(image: Image.Image) -> Pixels:
    """`image` must be RGB or RGBA already."""
    return Pixels(width=image.width, height=image.height, mode=image.mode, data=image.tobytes())

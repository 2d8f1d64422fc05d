"""Decoding: what is read, what is refused, and that nothing else happens."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.image import Picture, Pixels, decode, guess_mime, resize


def png(width: int, height: int, mode: str = "RGB", format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (width, height), 100 if mode in ("L", "P", "I;16") else None).save(buffer, format, **options)
    return buffer.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A tiny PNG that claims to be huge."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(64))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
def test_every_allowed_format_is_read(format: str) -> None:
    pixels = decode(Picture(data=png(8, 6, format=format), mime="whatever/it-claims"))
    assert (pixels.width, pixels.height, pixels.mode) == (8, 6, "RGB")
    assert len(pixels.data) == 8 * 6 * 3


@pytest.mark.parametrize(
    ("mode", "expected"), [("L", "RGB"), ("LA", "RGBA"), ("P", "RGB"), ("RGBA", "RGBA"), ("1", "RGB")]
)
def test_modes_become_rgb_or_rgba(mode: str, expected: str) -> None:
    assert decode(Picture(data=png(3, 3, mode), mime="image/png")).mode == expected


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    buffer = io.BytesIO()
    Image.new("I;16", (2, 2), 32768).save(buffer, "PNG")
    assert decode(Picture(data=buffer.getvalue(), mime="image/png")).data[0] == 128


def test_pictures_are_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(Picture(data=png(8, 4, format="JPEG", exif=exif), mime="image/jpeg"))
    assert (pixels.width, pixels.height) == (4, 8)


@pytest.mark.parametrize("side", [8_500, 12_000, 20_000, 60_000])
def test_decompression_bombs_are_refused_by_their_header(side: int) -> None:
    with pytest.raises(BadInput, match="too large"):
        decode(Picture(data=bomb(side, side), mime="image/png"))


def test_the_pixel_cap_can_be_chosen() -> None:
    with pytest.raises(BadInput, match="too large"):
        decode(Picture(data=png(11, 10), mime="image/png"), max_pixels=100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF",
        b"/etc/passwd",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"BM" + bytes(60),
        b"\x89PNG\r\n\x1a\n",
        png(64, 64)[:60],
        png(64, 64, format="JPEG")[:300],
        png(64, 64, format="WEBP")[:40],
        png(64, 64, format="GIF")[:20],
        bomb(100, 100),
        b"\xff\xd8\xff" + bytes(100),
        b"RIFF\x10\0\0\0WEBPVP8 " + bytes(20),
        b"\0\0\0\x1cftypavif" + bytes(40),
    ],
)
def test_what_is_no_picture_is_a_sentence(data: bytes) -> None:
    with pytest.raises(BadInput) as caught:
        decode(Picture(data=data, mime="image/png"))
    assert caught.value.sentence.endswith(".")


def test_types_are_told_by_content() -> None:
    assert guess_mime(png(2, 2)) == "image/png"
    assert guess_mime(png(2, 2, format="WEBP")) == "image/webp"
    assert guess_mime(png(2, 2, format="AVIF")) == "image/avif"
    assert guess_mime(b"\0\0\0\x20ftypisom") == "video/mp4"
    assert guess_mime(b"#!/bin/sh") is None


def test_resizing_keeps_the_mode() -> None:
    pixels = Pixels(width=2, height=2, mode="RGBA", data=bytes(16))
    assert resize(pixels, 5, 3) == Pixels(width=5, height=3, mode="RGBA", data=bytes(60))
    assert resize(pixels, 2, 2) is pixels

"""Input pictures are seen upright, in colours, at the size that is asked for."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.image import Picture
from swarm.media.stretched import opened, stretched


def picture(image: Image.Image, format: str = "PNG", **options: Any) -> Picture:
    file = io.BytesIO()
    image.save(file, format, **options)
    return Picture(data=file.getvalue(), mime=f"image/{format.lower()}")


def test_a_camera_that_was_turned_is_turned_back() -> None:
    wide = Image.new("RGB", (6, 4))
    wide.putpixel((0, 0), (255, 0, 0))
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = opened(picture(wide, exif=exif))
    assert seen.size == (4, 6)
    assert seen.getpixel((3, 0)) == (255, 0, 0)
    assert opened(picture(wide, exif=exif), 4, 6).tobytes() == seen.tobytes()


def test_what_is_transparent_shows_its_colour_unless_it_is_stretched() -> None:
    half = Image.new("RGBA", (8, 8), (200, 100, 50, 0))
    half.paste((10, 20, 30, 255), (0, 0, 4, 8))
    assert opened(picture(half)).getpixel((7, 0)) == (200, 100, 50)
    larger = opened(picture(half), 32, 32)
    assert larger.getpixel((0, 0)) == (10, 20, 30)
    assert larger.getpixel((31, 0)) == (0, 0, 0)
    # The hidden colour does not bleed into what is seen.
    assert larger.getpixel((14, 16)) == (10, 20, 30)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "I;16", "CMYK", "RGB", "RGBA"])
def test_every_kind_of_picture_is_read(mode: str) -> None:
    gray = np.linspace(0, 255, 64).reshape(8, 8)
    if mode == "I;16":
        given = picture(Image.fromarray((gray * 257).astype(np.uint16)))
    else:
        plain = Image.fromarray(gray.astype(np.uint8)).convert("RGB")
        kind = plain.quantize() if mode == "P" else plain.convert(mode)
        given = picture(kind, "JPEG" if mode == "CMYK" else "PNG")
    levels = np.asarray(opened(given), np.float32)[..., 0]
    assert levels.shape == (8, 8)
    if mode != "1":
        assert abs(levels - gray).max() < 8
    assert opened(given, 16, 4, mode="L").size == (16, 4)


def test_edges_overshoot_and_are_cut() -> None:
    levels = np.full((4, 8, 3), 40, np.uint8)
    levels[:, 4:] = 215
    found = np.asarray(stretched(Image.fromarray(levels), 32, 4))[0, :, 0]
    assert found.min() < 40
    assert found.max() > 215
    assert (found[0], found[-1]) == (40, 215)


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        opened(Picture(data=b"x", mime="image/png"))

"""16 bits a channel: from the decoder to the file, and 8 where a file cannot hold them."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from PIL import Image

from swarm.base.errors import BadInput
from swarm.features.color_depth import deep_pixels
from swarm.jobs.events import ImageDone
from swarm.jobs.job import ModelFile
from swarm.media.embedded import read_metadata
from swarm.media.formats import encode
from swarm.media.image import Pixels, eight_bits, to_pillow
from swarm.media.png16 import deep_png
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch


def samples(png: bytes) -> tuple[int, int, np.ndarray]:
    """(bits, colour type, samples) of a PNG whose rows are all told by the row above."""
    width, height, bits, colours = struct.unpack(">IIBB", png[16:26])
    data, place = b"", 8
    while place < len(png):
        (length,) = struct.unpack(">I", png[place : place + 4])
        if png[place + 4 : place + 8] == b"IDAT":
            data += png[place + 8 : place + 8 + length]
        place += length + 12
    rows = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, -1)
    assert set(rows[:, 0]) == {2}
    whole = np.cumsum(rows[:, 1:].astype(np.uint32), axis=0).astype(np.uint8)
    return bits, colours, np.frombuffer(whole.tobytes(), ">u2").reshape(height, width, -1)


def test_a_picture_keeps_sixteen_bits_in_a_png(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3)
    id = bench.submit(files[SD], (3,), colordepth="16bit")
    bench.finish()
    (deep,) = [event.result for event in bench.events(id) if isinstance(event, ImageDone)]
    assert isinstance(deep, Pixels)
    assert deep.mode == "RGB16"
    shallow = torch.tensor(list(eight_bits(deep).data)).reshape(plain.shape)
    assert (shallow - plain).abs().max() <= 1
    file = encode(deep, "PNG", metadata='{"a": "ü"}', dpi=300)
    bits, colours, told = samples(file.data)
    assert (bits, colours) == (16, 2)
    assert told.tobytes() == deep.data
    assert len(np.unique(told)) > 256
    assert read_metadata(io.BytesIO(file.data)) == '{"a": "\\u00fc"}'
    with Image.open(io.BytesIO(file.data)) as opened:
        assert opened.size == (64, 64)
        assert round(opened.info["dpi"][0]) == 300
        opened.load()
    assert torch.equal(bench.picture(files[SD], 3, colordepth="8bit"), plain)


def test_transparency_is_as_deep_as_colour() -> None:
    image = torch.rand(1, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    deep = deep_pixels(image)
    bits, colours, told = samples(deep_png(deep))
    assert (deep.mode, bits, colours) == ("RGBA16", 16, 6)
    assert np.abs(told / 65535.0 - image[0].permute(1, 2, 0).numpy()).max() < 2e-5
    assert to_pillow(deep).mode == "RGBA"


@pytest.mark.parametrize("format", ["JPG", "WEBP", "WEBP_LOSSLESS"])
def test_other_formats_have_eight_bits(format: str) -> None:
    deep = deep_pixels(torch.full((1, 3, 8, 8), 0.5))
    with Image.open(io.BytesIO(encode(deep, format).data)) as opened:
        assert opened.mode == "RGB"
        assert opened.getpixel((3, 3)) == (127, 127, 127)


def test_hidden_metadata_wants_eight_bits() -> None:
    deep = deep_pixels(torch.full((1, 3, 64, 64), 0.5))
    assert encode(deep, "PNG", metadata="{}", stealth="RGB").data[24] == 8
    assert encode(deep, "PNG", metadata="{}").data[24] == 16


def test_depth_is_taken_back_to_the_nearest_level() -> None:
    every = torch.arange(256) / 255.0
    deep = deep_pixels(every.repeat(1, 3, 1, 1))
    assert eight_bits(deep).data[::3] == bytes(range(256))
    shallow = Pixels(width=1, height=1, mode="RGB", data=b"abc")
    assert eight_bits(shallow) is shallow
    with pytest.raises(BadInput):
        deep_png(shallow)

"""Encoding, and metadata that goes in and comes out again."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.animation import moving_thumbnail
from swarm.media.embedded import png_with_text, read_metadata
from swarm.media.exif import make_exif, read_exif_text
from swarm.media.formats import FORMATS, encode, thumbnail, thumbnail_size
from swarm.media.image import Picture, Pixels, decode
from swarm.media.stealth import find_hidden

TEXT = '{\n  "sui_image_params": {\n    "prompt": "a caf\\u00e9 \\ud83d\\ude00"\n  }\n}'


def noise(width: int = 48, height: int = 32, mode: str = "RGB") -> Pixels:
    return Pixels(width=width, height=height, mode=mode, data=random.Random(1).randbytes(width * height * len(mode)))


def animation(format: str = "GIF", frames: int = 4, milliseconds: int = 100) -> bytes:
    pictures = [Image.new("RGB", (40, 20), (20 * n % 256, 0, 0)) for n in range(frames)]
    buffer = io.BytesIO()
    pictures[0].save(buffer, format, save_all=True, append_images=pictures[1:], duration=milliseconds)
    return buffer.getvalue()


@pytest.mark.parametrize("format_id", FORMATS)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_metadata_goes_in_and_comes_out(format_id: str, mode: str) -> None:
    made = encode(noise(mode=mode), format_id, quality=100, metadata=TEXT)
    assert made.embedded and not made.needs_sidecar
    assert (made.extension, made.mime) == (FORMATS[format_id].extension, FORMATS[format_id].mime)
    assert read_metadata(io.BytesIO(made.data)) == TEXT
    with Image.open(io.BytesIO(made.data)) as image:
        image.load()
        assert image.size == (48, 32)


@pytest.mark.parametrize("format_id", ["PNG", "WEBP_LOSSLESS"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_lossless_formats_lose_nothing(format_id: str, mode: str) -> None:
    pixels = noise(mode=mode)
    assert decode(Picture(data=encode(pixels, format_id).data, mime="")) == pixels


def test_png_carries_one_plain_text_chunk_that_other_readers_find() -> None:
    made = encode(noise(), "PNG", metadata=TEXT)
    assert made.data.count(b"tEXtparameters\0") == 1
    with Image.open(io.BytesIO(made.data)) as image:
        image.load()
        assert image.text == {"parameters": TEXT}  # type: ignore[attr-defined]


def test_jpeg_carries_the_text_as_little_endian_utf16() -> None:
    made = encode(noise(), "JPG", metadata=TEXT)
    assert b"UNICODE\0" + TEXT.encode("utf-16-le") in made.data
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286].startswith(b"UNICODE\0")


def test_text_that_does_not_fit_into_a_jpeg_asks_for_a_sidecar() -> None:
    made = encode(noise(), "JPG", metadata="x" * 40_000)
    assert not made.embedded and made.needs_sidecar
    assert read_metadata(io.BytesIO(made.data)) is None
    fitting = encode(noise(), "JPG", metadata="x" * 32_000)
    assert fitting.embedded and not fitting.needs_sidecar


def test_without_metadata_nothing_is_embedded_and_no_sidecar_is_needed() -> None:
    made = encode(noise(), "PNG")
    assert not made.embedded and not made.needs_sidecar
    assert read_metadata(io.BytesIO(made.data)) is None


@pytest.mark.parametrize("format_id", ["PNG", "JPG", "WEBP"])
def test_resolution_is_written_where_asked(format_id: str) -> None:
    made = encode(noise(), format_id, metadata=TEXT, dpi=300)
    with Image.open(io.BytesIO(made.data)) as image:
        assert image.getexif()[0x011A] == 300
        assert image.getexif()[0x0128] == 2
    assert read_metadata(io.BytesIO(made.data)) == TEXT


def test_an_unknown_format_is_the_known_sentence() -> None:
    with pytest.raises(BadInput, match=r"^User setting for image format is 'TGA', which is invalid$"):
        encode(noise(), "TGA")


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_animations_keep_their_own_data(format: str) -> None:
    data = animation(format)
    made = encode(Picture(data=data, mime="image/png"), "PNG", metadata=TEXT)
    assert made.data == data and made.extension == format.lower()
    assert not made.embedded and made.needs_sidecar


def test_still_files_are_converted_and_lose_what_they_carried() -> None:
    source = encode(noise(), "JPG", metadata="old secret").data
    made = encode(Picture(data=source, mime="image/jpeg"), "PNG", metadata=TEXT)
    assert made.extension == "png" and b"old secret".decode().encode("utf-16-le") not in made.data
    assert read_metadata(io.BytesIO(made.data)) == TEXT


@pytest.mark.parametrize(
    ("format_id", "channel"), [("PNG", "Alpha"), ("PNG", "RGB"), ("WEBP_LOSSLESS", "RGB"), ("WEBP", "Alpha")]
)
def test_hidden_metadata_survives_the_loss_of_everything_else(format_id: str, channel: str) -> None:
    made = encode(noise(100, 80), format_id, metadata=TEXT, stealth=channel)
    assert find_hidden(decode(Picture(data=made.data, mime=""))) == TEXT


def test_hidden_metadata_is_left_out_where_it_cannot_live() -> None:
    assert find_hidden(noise(100, 80)) is None
    for format_id, channel in [("JPG", "Alpha"), ("WEBP", "RGB")]:
        made = encode(noise(100, 80), format_id, metadata=TEXT, stealth=channel)
        assert find_hidden(decode(Picture(data=made.data, mime=""))) is None
    tiny = encode(noise(4, 4), "PNG", metadata=TEXT, stealth="RGB")
    assert decode(Picture(data=tiny.data, mime="")) == noise(4, 4)


def test_compressed_and_international_text_chunks_are_read() -> None:
    plain = encode(noise(), "PNG").data
    for kind, body in [
        (b"zTXt", b"Parameters\0\0" + zlib.compress(b"hello")),
        (b"iTXt", b"PARAMETERS\0\1\0\0\0" + zlib.compress("hällo".encode())),
        (b"iTXt", b"parameters\0\0\0de\0Parameter\0" + "hällo".encode()),
    ]:
        chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        assert read_metadata(io.BytesIO(plain[:33] + chunk + plain[33:])) in ("hello", "hällo")


def test_non_ascii_text_is_escaped_as_json() -> None:
    data = png_with_text(encode(noise(), "PNG").data, '"é😀"')
    assert read_metadata(io.BytesIO(data)) == '"\\u00e9\\ud83d\\ude00"'


def test_byte_swapped_and_foreign_comments_are_read() -> None:
    swapped = make_exif("hello").replace("hello".encode("utf-16-le"), "hello".encode("utf-16-be"))
    assert read_exif_text(swapped) == "hello"
    exif = Image.Exif()
    exif[0x0110] = "from the model tag"
    assert read_exif_text(exif.tobytes()) == "from the model tag"
    big_endian = Image.Exif()
    big_endian.endian = ">"
    big_endian.get_ifd(0x8769)[0x9286] = b"UNICODE\0" + "hi".encode("utf-16-be")
    assert read_exif_text(big_endian.tobytes()) == "hi"


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damaged_files_never_raise(data: st.DataObject) -> None:
    source = bytearray(encode(noise(), data.draw(st.sampled_from(["PNG", "JPG", "WEBP"])), metadata=TEXT, dpi=72).data)
    for _ in range(data.draw(st.integers(1, 6))):
        source[data.draw(st.integers(0, min(len(source) - 1, 500)))] = data.draw(st.integers(0, 255))
    cut = bytes(source[: data.draw(st.integers(0, len(source)))])
    found = read_metadata(io.BytesIO(cut))
    assert found is None or isinstance(found, str)
    try:
        decode(Picture(data=cut, mime=""))
    except BadInput as error:
        assert error.sentence.endswith(".")


def test_thumbnails_have_a_shorter_side_of_256_and_carry_the_text() -> None:
    small = thumbnail(encode(noise(640, 512), "PNG").data, metadata=TEXT)
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "JPEG" and image.size == (320, 256)
    assert read_metadata(io.BytesIO(small)) == TEXT


def test_thumbnails_of_very_long_pictures_stay_small() -> None:
    assert thumbnail_size(10_000, 1, 256) == (4096, 1)
    assert thumbnail_size(512, 1024, 256) == (256, 512)


def test_transparent_pixels_of_a_thumbnail_do_not_show_their_colour() -> None:
    red_but_clear = Pixels(width=8, height=8, mode="RGBA", data=b"\xff\0\0\0" * 64)
    small = decode(Picture(data=thumbnail(encode(red_but_clear, "PNG").data), mime=""))
    assert max(small.data) < 10


@pytest.mark.parametrize("format", ["GIF", "WEBP"])
def test_animations_move_in_their_preview_at_most_ten_times_a_second(format: str) -> None:
    small = moving_thumbnail(animation(format, frames=12, milliseconds=50))
    assert small is not None
    with Image.open(io.BytesIO(small)) as image:
        assert image.format == "WEBP" and image.size == (512, 256)
        assert image.n_frames == 6  # type: ignore[attr-defined]
    assert moving_thumbnail(encode(noise(), "WEBP").data) is None


def test_long_animations_are_cut_at_five_seconds() -> None:
    small = moving_thumbnail(animation(frames=20, milliseconds=1000))
    assert small is not None
    with Image.open(io.BytesIO(small)) as image:
        assert image.n_frames == 5  # type: ignore[attr-defined]

"""Clips as video files: each format is read back, and shows what was put in."""

from __future__ import annotations

import io

import av
import pytest
from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.clip import Clip, there_and_back, trimmed
from swarm.media.image import guess_mime
from swarm.media.video import VIDEO_FORMATS, encode_clip, moving, still

LEVELS = (20, 90, 160, 230)


def clip(width: int = 48, height: int = 32, levels: tuple[int, ...] = LEVELS, fps: float = 8.0) -> Clip:
    """Frames of one grey each."""
    return Clip(
        width=width, height=height, fps=fps, data=b"".join(bytes([level]) * width * height * 3 for level in levels)
    )


def frames_of(data: bytes) -> tuple[list[Image.Image], float]:
    """What a video player sees: pictures, frames per second."""
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.video[0]
        rate = stream.average_rate
        assert rate is not None
        return [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in file.decode(stream)], float(rate)


def grey(image: Image.Image) -> float:
    return sum(image.convert("L").tobytes()) / (image.width * image.height)


@pytest.mark.parametrize("id", [id for id, format in VIDEO_FORMATS.items() if format.codec])
def test_a_video_shows_the_frames(id: str) -> None:
    encoded = encode_clip(clip(), id)
    assert guess_mime(encoded.data) == encoded.mime == VIDEO_FORMATS[id].mime
    assert encoded.needs_sidecar and not encoded.embedded
    frames, rate = frames_of(encoded.data)
    assert rate == pytest.approx(8.0, abs=0.1)
    assert [frame.size for frame in frames] == [(48, 32)] * 4
    assert [grey(frame) for frame in frames] == pytest.approx(LEVELS, abs=4)


@pytest.mark.parametrize("id", ["webp", "gif", "gif-hd"])
def test_an_animation_shows_the_frames(id: str) -> None:
    encoded = encode_clip(clip(), id)
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert getattr(image, "n_frames", 1) == 4
        seen = []
        for index in range(4):
            image.seek(index)
            seen.append(grey(image.convert("RGB")))
            assert image.info["duration"] in (120, 125)
    assert seen == pytest.approx(LEVELS, abs=26 if id == "gif" else 4)


def test_the_default_format_is_playable_from_its_begin() -> None:
    """Browsers play while they load only when the index comes first."""
    data = encode_clip(clip(), "h264-mp4").data
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(io.BytesIO(data), "r") as file:
        assert file.streams.video[0].codec_context.name == "h264"
        assert file.streams.video[0].codec_context.pix_fmt == "yuv420p"


def test_odd_sides_lose_a_line() -> None:
    frames, _ = frames_of(encode_clip(clip(33, 17), "h264-mp4").data)
    assert frames[0].size == (32, 16)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(BadInput, match="'avi' is no video format"):
        encode_clip(clip(), "avi")


def test_previews() -> None:
    long = clip(levels=(0, 60, 120, 180, 240, 30) * 20, fps=24.0)
    with Image.open(io.BytesIO(still(long))) as image:
        assert (image.format, image.size) == ("JPEG", (384, 256))
    with Image.open(io.BytesIO(moving(long))) as image:
        assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("WEBP", (192, 128), 30)
    with Image.open(io.BytesIO(moving(clip(levels=(5, 200), fps=2.0)))) as image:
        assert getattr(image, "n_frames", 1) == 2


def test_frames_are_cut_and_turned_around() -> None:
    def levels(of: Clip) -> list[int]:
        return [of.frame(index).data[0] for index in range(of.count)]

    assert levels(trimmed(clip(), 1, 1)) == [90, 160]
    assert levels(there_and_back(clip())) == [20, 90, 160, 230, 160, 90]
    with pytest.raises(BadInput, match="leaves none"):
        trimmed(clip(), 2, 2)

"""Clips as video files: each format is read back, and shows what was put in."""

from __future__ import annotations

import io
from pathlib import Path

import av
import pytest
from PIL import Image

from swarm.base.errors import BadInput, Refused
from swarm.media.clip import Clip, there_and_back, trimmed
from swarm.media.image import guess_mime, to_pillow
from swarm.media.video import encode_clip
from swarm.media.video_formats import VIDEO_FORMATS
from swarm.media.video_frames import first_seconds, video_thumbnail

LEVELS = (20, 90, 160, 230)


def clip(width: int = 48, height: int = 32, levels: tuple[int, ...] = LEVELS, fps: float = 8.0) -> Clip:
    """Frames of one grey each."""
    data = b"".join(bytes([level]) * width * height * 3 for level in levels)
    return Clip(width=width, height=height, fps=fps, data=data)


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
    assert {frame.size for frame in frames} == {(96, 64) if id == "h265-mp4" else (48, 32)}
    assert [grey(frame) for frame in frames] == pytest.approx(LEVELS, abs=4)
    assert set(encoded.beside) == {".swarmpreview.jpg", ".swarmpreview.webp"}


@pytest.mark.parametrize("id", ["webp", "gif", "gif-hd"])
def test_an_animation_shows_the_frames(id: str) -> None:
    encoded = encode_clip(clip(), id)
    assert not encoded.beside
    with Image.open(io.BytesIO(encoded.data)) as image:
        assert getattr(image, "n_frames", 1) == 4
        seen = []
        for index in range(4):
            image.seek(index)
            seen.append(grey(image.convert("RGB")))
            assert image.info["duration"] in (120, 125)
    assert seen == pytest.approx(LEVELS, abs=26 if id == "gif" else 4)


def test_the_default_format_plays_while_it_loads() -> None:
    """For that the index comes first, and odd sides lose a line."""
    data = encode_clip(clip(33, 17), "h264-mp4").data
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(io.BytesIO(data), "r") as file:
        context = file.streams.video[0].codec_context
        assert (context.name, context.pix_fmt, context.width, context.height) == ("h264", "yuv420p", 32, 16)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(BadInput, match="'avi' is no video format"):
        encode_clip(clip(), "avi")


def test_a_writer_that_fails_ends_in_a_sentence() -> None:
    with pytest.raises(Refused, match="could not be written as MP4"):
        encode_clip(Clip(width=48, height=32, fps=8.0, data=b"too short"), "h264-mp4")


def test_previews() -> None:
    long = encode_clip(clip(levels=(0, 60, 120, 180, 240, 30) * 24, fps=24.0), "h264-mp4").beside
    with Image.open(io.BytesIO(long[".swarmpreview.jpg"])) as image:
        assert (image.format, image.size) == ("JPEG", (384, 256))
    with Image.open(io.BytesIO(long[".swarmpreview.webp"])) as image:
        assert (image.format, image.size, getattr(image, "n_frames", 1)) == ("WEBP", (192, 128), 30)


def test_frames_are_cut_and_turned_around() -> None:
    def levels(of: Clip) -> list[int]:
        return [of.frame(index).data[0] for index in range(of.count)]

    assert levels(trimmed(clip(), 1, 1)) == [90, 160]
    assert levels(there_and_back(clip())) == [20, 90, 160, 230, 160, 90]
    with pytest.raises(BadInput, match="leaves none"):
        trimmed(clip(), 2, 2)


def test_a_video_of_somebody_else_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(encode_clip(clip(600, 300, levels=(20, 20, 200, 200) * 16, fps=8.0), "h264-mp4").data)
    seen = first_seconds(path)
    assert (seen.width, seen.height, seen.count, seen.fps) == (512, 256, 31, 6.0)
    assert grey(to_pillow(seen.frame(0))) == pytest.approx(20, abs=4)
    with Image.open(io.BytesIO(video_thumbnail(seen, moving=True))) as image:
        assert (image.format, image.size) == ("WEBP", (256, 128))
    with Image.open(io.BytesIO(video_thumbnail(seen, moving=False))) as image:
        assert (image.format, image.size) == ("JPEG", (512, 256))
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(BadInput, match="damaged"):
        first_seconds(path)

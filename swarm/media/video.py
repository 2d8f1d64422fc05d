"""Clips as files: the video formats of swarm-t2i 9.14, and the small versions that stand beside them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from swarm.base.errors import BadInput
from swarm.media.clip import Clip
from swarm.media.formats import Encoded, thumbnail_size
from swarm.media.image import to_pillow

_PREVIEW_SIDE = 128
_PREVIEW_SECONDS = 5
_PREVIEW_FPS = 6
_STILL_SIDE = 256
_PALETTE_SAMPLES = 16


@dataclass(frozen=True, kw_only=True)
class VideoFormat:
    """A way to save a clip. `codec`: ffmpeg's name, "" for formats that Pillow writes. `container`: likewise."""

    id: str
    name: str
    extension: str
    mime: str
    codec: str = ""
    container: str = ""
    pixels: str = "yuv420p"
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def _table(*formats: VideoFormat) -> Mapping[str, VideoFormat]:
    return MappingProxyType({format.id: format for format in formats})


VIDEO_FORMATS = _table(
    VideoFormat(id="webp", name="WEBP (animated picture)", extension="webp", mime="image/webp"),
    VideoFormat(id="gif", name="GIF", extension="gif", mime="image/gif"),
    VideoFormat(id="gif-hd", name="GIF with its own palette", extension="gif", mime="image/gif"),
    VideoFormat(
        id="webm",
        name="WEBM (VP9)",
        extension="webm",
        mime="video/webm",
        codec="libvpx-vp9",
        container="webm",
        options={"crf": "23", "b": "0", "row-mt": "1", "deadline": "good", "cpu-used": "4"},
    ),
    VideoFormat(
        id="h264-mp4",
        name="MP4 (H.264)",
        extension="mp4",
        mime="video/mp4",
        codec="libx264",
        container="mp4",
        options={"crf": "19"},
    ),
    VideoFormat(
        id="h265-mp4",
        name="MP4 (H.265)",
        extension="mp4",
        mime="video/mp4",
        codec="libx265",
        container="mp4",
        options={"crf": "22", "x265-params": "log-level=none"},
    ),
    VideoFormat(
        id="prores",
        name="MOV (ProRes)",
        extension="mov",
        mime="video/quicktime",
        codec="prores_ks",
        container="mov",
        pixels="yuv422p10le",
        options={"profile": "3"},
    ),
)


def encode_clip(clip: Clip, format_id: str) -> Encoded:
    """The clip as a file. Blocking, and seconds long for long clips. Raises BadInput for an unknown format.

    Sides that the codec cannot hold (odd ones) lose their last line. Metadata belongs into a file beside it.
    """
    chosen = VIDEO_FORMATS.get(format_id)
    if chosen is None:
        raise BadInput(f"'{format_id}' is no video format. Choose one of: {', '.join(VIDEO_FORMATS)}.")
    data = _coded(clip, chosen) if chosen.codec else _animated(clip, chosen)
    return Encoded(data=data, extension=chosen.extension, mime=chosen.mime, embedded=False, needs_sidecar=True)


def still(clip: Clip) -> bytes:
    """A JPEG of the first frame whose shorter side is 256 pixels."""
    image = to_pillow(clip.frame(0))
    buffer = io.BytesIO()
    size = thumbnail_size(clip.width, clip.height, _STILL_SIDE)
    image.resize(size, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def moving(clip: Clip) -> bytes:
    """An animated WebP of the first five seconds: 6 frames a second, 128 pixels high."""
    step = max(1.0, clip.fps / _PREVIEW_FPS)
    seconds = step / clip.fps
    most = min(clip.count, int(clip.fps * _PREVIEW_SECONDS) + 1)
    indices = [int(position * step) for position in range(int((most - 1) / step) + 1)]
    width = max(1, min(16 * _PREVIEW_SIDE, round(clip.width * _PREVIEW_SIDE / clip.height)))
    frames = [
        to_pillow(clip.frame(index)).resize((width, _PREVIEW_SIDE), Image.Resampling.BILINEAR) for index in indices
    ]
    return _webp(frames, round(1000 * seconds), quality=50)


def _coded(clip: Clip, chosen: VideoFormat) -> bytes:
    """By an ffmpeg codec."""
    # A real file: the index of an MP4 can only be moved to the begin of what can be opened again.
    with tempfile.TemporaryDirectory(prefix="swarm-video-") as folder:
        path = Path(folder) / f"clip.{chosen.extension}"
        _write(clip, chosen, path)
        return path.read_bytes()


def _write(clip: Clip, chosen: VideoFormat, path: Path) -> None:
    rate = Fraction(clip.fps).limit_denominator(1001)
    width, height = max(2, clip.width // 2 * 2), max(2, clip.height // 2 * 2)
    faststart = {"movflags": "faststart"} if chosen.container in ("mp4", "mov") else {}
    with av.open(path, "w", format=chosen.container, options=faststart) as file:
        stream = file.add_stream(chosen.codec, rate=rate, options=dict(chosen.options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, chosen.pixels
        if chosen.codec == "libx265":
            stream.codec_context.codec_tag = "hvc1"  # what Apple's players ask for
        for index, pixels in enumerate(_even(clip, width, height)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _even(clip: Clip, width: int, height: int) -> Iterator[NDArray[np.uint8]]:
    """The frames as arrays (height, width, 3)."""
    for data in clip.frames():
        frame = np.frombuffer(data, np.uint8).reshape(clip.height, clip.width, 3)
        if clip.width < 2 or clip.height < 2:
            frame = frame.repeat(width // clip.width, 1).repeat(height // clip.height, 0)
        yield np.ascontiguousarray(frame[:height, :width])


def _animated(clip: Clip, chosen: VideoFormat) -> bytes:
    """By Pillow: as an animated picture."""
    frames = [to_pillow(clip.frame(index)) for index in range(clip.count)]
    milliseconds = max(1, round(1000 / clip.fps))
    if chosen.extension == "webp":
        return _webp(frames, milliseconds, quality=90)
    frames = _with_palette(frames) if chosen.id == "gif-hd" else [_reduced(frame) for frame in frames]
    buffer = io.BytesIO()
    # GIF counts hundredths of a second, and players slow anything below two down.
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=max(20, milliseconds), loop=0, optimize=False
    )
    return buffer.getvalue()


def _reduced(frame: Image.Image) -> Image.Image:
    """In the fixed palette of 216 colours."""
    return frame.convert("P", palette=Image.Palette.WEB)


def _with_palette(frames: list[Image.Image]) -> list[Image.Image]:
    """In one palette made for the whole clip, dithered."""
    samples = frames[:: max(1, len(frames) // _PALETTE_SAMPLES)][:_PALETTE_SAMPLES]
    width, height = (max(1, side // 4) for side in frames[0].size)
    sheet = Image.new("RGB", (width, height * len(samples)))
    for position, frame in enumerate(samples):
        sheet.paste(frame.resize((width, height)), (0, position * height))
    palette = sheet.quantize(256, method=Image.Quantize.MEDIANCUT)
    return [frame.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG) for frame in frames]


def _webp(frames: list[Image.Image], milliseconds: int, *, quality: int) -> bytes:
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds,
        loop=0,
        quality=quality,
        method=2,
    )
    return buffer.getvalue()

"""python -m swarm.media.video_writer: a clip's raw frames as a video file, with its small versions. A child process.

Encoders are native code, and not all of them are above crashing: here such a crash costs one video, not the server.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from swarm.media.clip import Clip
from swarm.media.formats import thumbnail_size
from swarm.media.image import to_pillow
from swarm.media.smoothing import smoothed
from swarm.media.smoothness import BLEND, MOTION, Smoothness
from swarm.media.video_formats import MOVING, RAW, SOUND, STILL, VIDEO_FORMATS, VideoFormat
from swarm.media.video_sound import Track

_PREVIEW_HEIGHT = 128
_PREVIEW_SECONDS = 5
_PREVIEW_FPS = 6
_STILL_SIDE = 256
_PALETTE_SAMPLES = 16
_SMALLEST_GIF_PAUSE = 20
"""Milliseconds: GIF counts in hundredths of a second, and players slow down what is shorter than two of them."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m swarm.media.video_writer", description=__doc__)
    parser.add_argument("folder", type=Path, help=f"holds the frames, named {RAW}; the results are put there")
    parser.add_argument("width", type=int)
    parser.add_argument("height", type=int)
    parser.add_argument("fps", type=float)
    parser.add_argument("format", choices=VIDEO_FORMATS)
    parser.add_argument("times", type=int, help="how many times as many frames a second")
    parser.add_argument("method", choices=(MOTION, BLEND))
    given = parser.parse_args()
    data = (given.folder / RAW).read_bytes()
    clip, chosen = Clip(width=given.width, height=given.height, fps=given.fps, data=data), VIDEO_FORMATS[given.format]
    clip = smoothed(clip, Smoothness(times=given.times, method=given.method))
    path = given.folder / f"clip.{chosen.extension}"
    if chosen.codec:
        sound = given.folder / SOUND
        write_video(clip, chosen, path, sound if sound.is_file() else None)
        write_still(clip, given.folder / STILL)
        write_moving(clip, given.folder / MOVING)
    else:
        write_animation(clip, chosen, path)
    return 0


def write_video(clip: Clip, chosen: VideoFormat, path: Path, sound: Path | None = None) -> None:
    """By an ffmpeg codec, with a sound's track if one is given.

    Sides that it cannot hold lose their last line, or are enlarged where they are too short.
    """
    rate = Fraction(clip.fps).limit_denominator(1001)
    # The index of an MP4 at its begin lets browsers play it while it loads.
    faststart = {"movflags": "faststart"} if chosen.container in ("mp4", "mov") else {}
    with av.open(path, "w", format=chosen.container, options=faststart) as file:
        stream = file.add_stream(chosen.codec, rate=rate, options=dict(chosen.options))
        assert isinstance(stream, VideoStream)
        stream.pix_fmt = chosen.pixels
        if chosen.tag:
            stream.codec_context.codec_tag = chosen.tag
        track = None if sound is None else Track(file, chosen.sound, sound, seconds=clip.count / clip.fps)
        larger = -(-chosen.smallest // min(clip.width, clip.height))
        stream.width, stream.height = clip.width * larger // 2 * 2, clip.height * larger // 2 * 2
        for index, pixels in enumerate(_fitting(clip, larger)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, 1 / rate
            file.mux(stream.encode(frame))
            if track is not None:
                track.write_until((index + 1) / float(rate))
        file.mux(stream.encode(None))
        if track is not None:
            track.finish()


def _fitting(clip: Clip, larger: int) -> Iterator[NDArray[np.uint8]]:
    """The frames as arrays (height, width, 3), `larger` times as large, both sides even."""
    for data in clip.frames():
        frame = np.frombuffer(data, np.uint8).reshape(clip.height, clip.width, 3)
        if larger > 1:
            frame = frame.repeat(larger, 0).repeat(larger, 1)
        height, width = (side // 2 * 2 for side in frame.shape[:2])
        yield np.ascontiguousarray(frame[:height, :width])


def write_animation(clip: Clip, chosen: VideoFormat, path: Path) -> None:
    """As an animated picture."""
    frames = [to_pillow(clip.frame(index)) for index in range(clip.count)]
    milliseconds = max(1, round(1000 / clip.fps))
    if chosen.extension == "webp":
        _webp(frames, milliseconds, path, quality=90)
        return
    frames = _with_palette(frames) if chosen.own_palette else [_reduced(frame) for frame in frames]
    frames[0].save(
        path,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=max(_SMALLEST_GIF_PAUSE, milliseconds),
        loop=0,
        optimize=False,
    )


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


def write_still(clip: Clip, path: Path) -> None:
    """A JPEG of the first frame whose shorter side is 256 pixels."""
    size = thumbnail_size(clip.width, clip.height, _STILL_SIDE)
    to_pillow(clip.frame(0)).resize(size, Image.Resampling.LANCZOS).save(path, "JPEG", quality=80)


def write_moving(clip: Clip, path: Path) -> None:
    """An animated WebP of the first five seconds: 6 frames a second, 128 pixels high."""
    step = max(1.0, clip.fps / _PREVIEW_FPS)
    shown = min(clip.count, int(clip.fps * _PREVIEW_SECONDS))
    indices = [int(position * step) for position in range(max(1, int((shown - 1) / step) + 1))]
    width = max(1, min(16 * _PREVIEW_HEIGHT, round(clip.width * _PREVIEW_HEIGHT / clip.height)))
    size = width, _PREVIEW_HEIGHT
    frames = [to_pillow(clip.frame(index)).resize(size, Image.Resampling.BILINEAR) for index in indices]
    _webp(frames, round(1000 * step / clip.fps), path, quality=50)


def _webp(frames: list[Image.Image], milliseconds: int, path: Path, *, quality: int) -> None:
    frames[0].save(
        path,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=milliseconds,
        loop=0,
        quality=quality,
        method=2,
    )


if __name__ == "__main__":
    sys.exit(main())

"""A sound's track in a video file that is being written. In the child process that writes it (see `video_writer`)."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

_RATE = 48_000
_BITS_PER_SECOND = 192_000
_FRAME = 960
"""Samples that are encoded at once: 20 milliseconds, which every codec here takes."""


class Track:
    """Stereo, written beside the frames as they come, for no longer than they last."""

    def __init__(self, file: OutputContainer, codec: str, sound: Path, *, seconds: float) -> None:
        self._file = file
        stream = file.add_stream(codec, rate=_RATE)
        assert isinstance(stream, AudioStream)
        stream.bit_rate = _BITS_PER_SECOND
        stream.layout = "stereo"
        self._stream = stream
        self._frames = _frames(sound, stream.format.name, 1024 if codec == "aac" else _FRAME, round(seconds * _RATE))
        self._written = 0

    def write_until(self, seconds: float) -> None:
        """What sounds before this time and has not been written."""
        while self._written < seconds * _RATE:
            frame = next(self._frames, None)
            if frame is None:
                return
            frame.pts, frame.time_base = self._written, Fraction(1, _RATE)
            self._written += frame.samples
            self._file.mux(self._stream.encode(frame))

    def finish(self) -> None:
        self._file.mux(self._stream.encode(None))


def _frames(sound: Path, format: str, size: int, samples: int) -> Iterator[AudioFrame]:
    """The sound in pieces as the encoder wants them, up to `samples`."""
    resampler = av.AudioResampler(format=format, layout="stereo", rate=_RATE, frame_size=size)
    given = 0
    with av.open(sound, "r") as source:
        for frame in chain(source.decode(source.streams.audio[0]), (None,)):
            for part in resampler.resample(frame):
                if given >= samples:
                    return
                given += part.samples
                yield part

"""python -m swarm.engine.audio_track: the sound of a video as an MP3 file. A confined child, as `unpickle` is.

The exit code is 0 when it was written, 2 when the video has no sound that can be read.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import IO

import av
from av.audio.stream import AudioStream

from swarm.engine.confine import confine

NO_SOUND = 2
_BITS_PER_SECOND = 192_000
_RATES = (32_000, 44_100, 48_000)
_MEMORY = 2 * 1024**3
_LARGEST = 512 * 1024**2
_FRAME = 1152


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m swarm.engine.audio_track", description=__doc__)
    parser.add_argument("source", type=int, help="number of the open file to read")
    parser.add_argument("target", type=int, help="number of the open file to write")
    given = parser.parse_args()
    _rehearse()
    confine(memory=_MEMORY, file_size=_LARGEST, seconds=600)
    with os.fdopen(given.source, "rb") as source, os.fdopen(given.target, "wb") as target:
        try:
            return 0 if extract(source, target) else NO_SOUND
        except (av.FFmpegError, ValueError, EOFError):
            return NO_SOUND


def extract(source: IO[bytes], target: IO[bytes]) -> bool:
    """Write the first sound track; whether there was any sound. Raises FFmpegError for what cannot be read."""
    with av.open(source, "r") as video:
        track = next(iter(video.streams.audio), None)
        if track is None:
            return False
        rate = track.rate if track.rate in _RATES else _RATES[1]
        with av.open(target, "w", format="mp3") as made:
            stream = made.add_stream("libmp3lame", rate=rate)
            assert isinstance(stream, AudioStream)
            stream.bit_rate = _BITS_PER_SECOND
            stream.layout = "stereo"
            stream.format = "s16p"
            resampler = av.AudioResampler(format="s16p", layout="stereo", rate=rate, frame_size=_FRAME)
            count = 0
            for frame in video.decode(track):
                for part in resampler.resample(frame):
                    made.mux(stream.encode(part))
                    count += 1
            for part in resampler.resample(None):
                made.mux(stream.encode(part))
            made.mux(stream.encode(None))
            return count > 0


def _rehearse() -> None:
    """Have everything loaded that is needed: once confined, this process opens no files."""
    held = io.BytesIO()
    with av.open(held, "w", format="wav") as made:
        stream = made.add_stream("pcm_s16le", rate=44_100)
        assert isinstance(stream, AudioStream)
        stream.layout = "mono"
        frame = av.AudioFrame(format="s16", layout="mono", samples=4096)
        frame.rate = 44_100
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    held.seek(0)
    extract(held, io.BytesIO())


if __name__ == "__main__":
    sys.exit(main())

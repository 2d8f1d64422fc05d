"""python -m swarm.engine.apart.audio_track: the sound of a video as an MP3 file. A confined child, as `unpickle` is.

The exit code is 0 when it was written, 2 when the video has no sound that can be read.
"""

from __future__ import annotations

import io
import sys
from typing import IO

import av
from av.audio.stream import AudioStream

from swarm.engine.apart.confined_video import run_confined

_BITS_PER_SECOND = 192_000
_RATES = (32_000, 44_100, 48_000)
_FRAME = 1152


def main() -> int:
    return run_confined("swarm.engine.apart.audio_track", __doc__, _rehearse, extract, seconds=600)


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
    """Have everything loaded that is needed."""
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

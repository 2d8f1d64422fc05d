"""python -m swarm.engine.apart.video_frames: the first seconds of a video as small raw frames. A confined child.

Writes one line of JSON (`width`, `height`, `fps`) and then the frames, RGB. The exit code is 0 when there were any.
"""

from __future__ import annotations

import io
import json
import sys
from typing import IO

import av
import numpy as np
from av.video.stream import VideoStream

from swarm.engine.apart.confined_video import run_confined

_SIDE = 256
_FPS = 6.0
_SECONDS = 5.0
_MOST_READ = 600


def main() -> int:
    return run_confined("swarm.engine.apart.video_frames", __doc__, _rehearse, extract, seconds=120)


def extract(source: IO[bytes], target: IO[bytes]) -> bool:
    """Write the frames; whether there were any. Raises FFmpegError for what cannot be read."""
    with av.open(source, "r") as video:
        track = next(iter(video.streams.video), None)
        if track is None:
            return False
        size: tuple[int, int] | None = None
        shown = 0
        for number, frame in enumerate(video.decode(track)):
            time = float(frame.time if frame.time is not None else number / _FPS)
            if time > _SECONDS or number >= _MOST_READ:
                break
            if time * _FPS + 1e-6 < shown:
                continue
            shown += 1
            if size is None:
                size = _small(frame.width, frame.height)
                head = {"width": size[0], "height": size[1], "fps": _FPS}
                target.write(json.dumps(head).encode() + b"\n")
            small = frame.reformat(width=size[0], height=size[1], format="rgb24")
            target.write(small.to_ndarray().tobytes())
        return size is not None


def _small(width: int, height: int) -> tuple[int, int]:
    """The shorter side 256 pixels, if it is not smaller already; very long pictures stop at 16 times that."""
    scale = min(1.0, _SIDE / min(width, height), 16 * _SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _rehearse() -> None:
    """Have everything loaded that is needed."""
    held = io.BytesIO()
    with av.open(held, "w", format="avi") as made:
        stream = made.add_stream("mpeg4", rate=4)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
        made.mux(stream.encode(frame))
        made.mux(stream.encode(None))
    held.seek(0)
    extract(held, io.BytesIO())


if __name__ == "__main__":
    sys.exit(main())

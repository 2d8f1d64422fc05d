"""More frames between the frames of a clip, told by how things move. In the child process that writes videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice, pairwise

import av
import numpy as np

from swarm.media.clip import Clip
from swarm.media.smoothness import BLEND, MOTION, Smoothness

_SCENES_STAY = "scd=none"
_HOW = {
    MOTION: f"mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1:{_SCENES_STAY}",
    BLEND: f"mi_mode=blend:{_SCENES_STAY}",
}
"""ffmpeg's words for it: blocks are followed from frame to frame and moved part of the way, or frames are mixed."""

_BEFORE, _BEHIND = 1, 3
"""The filter looks so many frames around; the first and the last are repeated for it."""


def smoothed(clip: Clip, how: Smoothness) -> Clip:
    """More frames a second; the clip lasts as long. Its own frames stay as they are."""
    times = how.times
    if times <= 1 or clip.count < 2:
        return clip
    own = list(clip.frames())
    first, count = _BEFORE * times, (clip.count - 1) * times + 1
    data = bytearray()
    for place, made in enumerate(islice(_filtered(clip, times, _HOW[how.method]), first, first + count)):
        data += made if place % times else own[place // times]
    return replace(clip, fps=clip.fps * times, data=bytes(data))


def _filtered(clip: Clip, times: int, how: str) -> Iterator[bytes]:
    """The whole filtered clip: `times` frames for each frame, those of the repeated ones included."""
    rate = Fraction(clip.fps).limit_denominator(1001)
    graph = av.filter.Graph()
    nodes = [
        graph.add_buffer(width=clip.width, height=clip.height, format=av.VideoFormat("rgb24"), time_base=1 / rate),
        graph.add("format", "yuv444p"),
        graph.add("minterpolate", f"fps={rate * times}:{how}"),
        graph.add("format", "rgb24"),
        graph.add("buffersink"),
    ]
    for first, second in pairwise(nodes):
        first.link_to(second)
    graph.configure()
    frames = list(clip.frames())
    for place, data in enumerate([frames[0]] * _BEFORE + frames + [frames[-1]] * _BEHIND):
        levels = np.frombuffer(data, np.uint8).reshape(clip.height, clip.width, 3)
        frame = av.VideoFrame.from_ndarray(levels, format="rgb24")
        frame.pts, frame.time_base = place, 1 / rate
        graph.push(frame)
        yield from _ready(graph)
    graph.push(None)
    yield from _ready(graph)


def _ready(graph: av.filter.Graph) -> Iterator[bytes]:
    while True:
        try:
            made = graph.pull()
        except (BlockingIOError, EOFError):
            return
        assert isinstance(made, av.VideoFrame)
        yield made.to_ndarray(format="rgb24").tobytes()

"""Frames between frames: what moves is half-way there, the clip's own frames stay, and it lasts as long."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from swarm.media.clip import Clip
from swarm.media.smoothing import smoothed
from swarm.media.smoothness import BLEND, MOTION, Smoothness
from swarm.media.video import encode_clip

SIDE, STEP, COUNT = 96, 6, 6


def moving() -> Clip:
    """A white square that goes to the right, six pixels a frame."""
    frames = np.zeros((COUNT, SIDE, SIDE, 3), np.uint8)
    for index in range(COUNT):
        frames[index, 32:64, 8 + STEP * index : 40 + STEP * index] = 255
    return Clip(width=SIDE, height=SIDE, fps=8.0, data=frames.tobytes())


def middles(clip: Clip) -> list[float]:
    """How far to the right what is bright lies, frame by frame."""
    frames = np.frombuffer(clip.data, np.uint8).reshape(-1, SIDE, SIDE, 3)[:, 48, :, 0].astype(float)
    return [float((frame * np.arange(SIDE)).sum() / frame.sum()) for frame in frames]


@pytest.mark.parametrize(("times", "method"), [(2, MOTION), (3, MOTION), (2, BLEND)])
def test_what_moves_is_on_its_way_between(times: int, method: str) -> None:
    clip = smoothed(moving(), Smoothness(times=times, method=method))
    assert (clip.count, clip.fps) == ((COUNT - 1) * times + 1, 8.0 * times)
    assert clip.picked(range(0, clip.count, times)).data == moving().data
    start = 8 + 31 / 2
    assert middles(clip) == pytest.approx([start + STEP * place / times for place in range(clip.count)], abs=1.0)


def test_following_what_moves_keeps_its_edges() -> None:
    between = {
        how: np.frombuffer(smoothed(moving(), Smoothness(times=2, method=how)).frame(5).data, np.uint8)
        for how in (MOTION, BLEND)
    }
    grey = {how: int(((levels > 40) & (levels < 215)).sum()) for how, levels in between.items()}
    assert grey[MOTION] * 4 < grey[BLEND]


def test_a_clip_that_stays_as_it_is() -> None:
    one = moving().picked([0])
    assert smoothed(one, Smoothness(times=4)) is one
    assert smoothed(moving(), Smoothness()).data == moving().data


def test_files_have_the_frames_between() -> None:
    data = encode_clip(moving(), "h264-mp4", smoothness=Smoothness(times=2)).data
    with av.open(io.BytesIO(data), "r") as file:
        stream = file.streams.video[0]
        assert sum(1 for _frame in file.decode(stream)) == (COUNT - 1) * 2 + 1
        assert stream.average_rate == 16

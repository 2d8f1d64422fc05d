"""Sounds in video files: as long as the video, and heard when it is played."""

from __future__ import annotations

import io
import math
import wave
from array import array
from itertools import pairwise

import av
import pytest

from swarm.media.audio_track import extract_audio
from swarm.media.clip import Clip
from swarm.media.video import encode_clip
from swarm.media.video_formats import VIDEO_FORMATS

FRAMES, FPS = 16, 8.0


def clip() -> Clip:
    return Clip(width=64, height=64, fps=FPS, data=bytes(FRAMES * 64 * 64 * 3))


def tone(seconds: float, hertz: float = 440.0, rate: int = 22_050) -> bytes:
    """A WAV file of one tone."""
    held = io.BytesIO()
    with wave.open(held, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        levels = (int(20_000 * math.sin(2 * math.pi * hertz * n / rate)) for n in range(int(seconds * rate)))
        file.writeframes(array("h", levels).tobytes())
    return held.getvalue()


def heard(data: bytes) -> tuple[float, float]:
    """(seconds, pitch in hertz) of a file's sound; (0, 0) for a silent file."""
    with av.open(io.BytesIO(data), "r") as file:
        if not file.streams.audio:
            return 0.0, 0.0
        resampler = av.AudioResampler(format="s16", layout="mono", rate=16_000)
        levels = array("h")
        for frame in file.decode(file.streams.audio[0]):
            for part in resampler.resample(frame):
                levels.extend(array("h", bytes(part.planes[0])[: part.samples * 2]))
    middle = levels[len(levels) // 4 : len(levels) // 2]
    crossings = sum(before < 0 <= after for before, after in pairwise(middle))
    return len(levels) / 16_000, crossings * 16_000 / len(middle)


@pytest.mark.parametrize("id", [id for id, format in VIDEO_FORMATS.items() if format.sound])
def test_a_video_sounds_as_long_as_it_lasts(id: str) -> None:
    seconds, pitch = heard(encode_clip(clip(), id, sound=extract_audio(tone(5.0))).data)
    assert seconds == pytest.approx(FRAMES / FPS, abs=0.1)
    assert pitch == pytest.approx(440, rel=0.02)


def test_a_short_sound_ends_before_the_video() -> None:
    data = encode_clip(clip(), "h264-mp4", sound=extract_audio(tone(0.5))).data
    assert heard(data)[0] == pytest.approx(0.5, abs=0.15)
    with av.open(io.BytesIO(data), "r") as file:
        assert sum(1 for _frame in file.decode(file.streams.video[0])) == FRAMES


def test_animated_pictures_are_silent() -> None:
    assert [id for id, format in VIDEO_FORMATS.items() if not format.sound] == ["webp", "gif", "gif-hd"]
    assert heard(encode_clip(clip(), "h264-mp4").data) == (0.0, 0.0)

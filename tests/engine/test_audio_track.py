"""The sound of videos as files of their own (swarm-t2i 4.12)."""

from __future__ import annotations

import base64
import io
import json
import math
from array import array
from pathlib import Path

import av
import pytest
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from swarm.base.errors import BadInput
from swarm.media.audio_track import extract_audio
from tests.conftest import World
from tests.support.client import SwarmClient

RATE, SECONDS = 22_050, 1.5


def made_video(*, sound: bool) -> bytes:
    """A grey MP4, with a tone of 440 Hz if wanted."""
    held = io.BytesIO()
    with av.open(held, "w", format="mp4") as made:
        picture = made.add_stream("mpeg4", rate=10)
        assert isinstance(picture, VideoStream)
        picture.width = picture.height = 64
        tone = made.add_stream("aac", rate=RATE, layout="mono") if sound else None
        for _ in range(int(SECONDS * 10)):
            frame = av.VideoFrame(64, 64, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([128]) * plane.buffer_size)
            made.mux(picture.encode(frame))
        made.mux(picture.encode(None))
        if tone is not None:
            assert isinstance(tone, AudioStream)
            for start in range(0, int(RATE * SECONDS), 1024):
                wave = array("f", (math.sin(2 * math.pi * 440 * (start + n) / RATE) for n in range(1024)))
                sounding = av.AudioFrame(format="fltp", layout="mono", samples=1024)
                sounding.rate, sounding.pts = RATE, start
                sounding.planes[0].update(wave.tobytes())
                made.mux(tone.encode(sounding))
            made.mux(tone.encode(None))
    return held.getvalue()


def test_the_sound_comes_out_as_mp3() -> None:
    audio = extract_audio(made_video(sound=True))
    with av.open(io.BytesIO(audio), "r") as heard:
        assert heard.format.name == "mp3" and heard.streams.audio[0].channels == 2
        samples = sum(frame.samples for frame in heard.decode(audio=0))
        assert samples / heard.streams.audio[0].rate == pytest.approx(SECONDS, abs=0.15)


@pytest.mark.parametrize("video", [made_video(sound=False), b"", b"\0" * 5000, made_video(sound=True)[:200]])
def test_what_has_no_sound_is_refused(video: bytes) -> None:
    with pytest.raises(BadInput, match="does not contain a readable audio track"):
        extract_audio(video)


def data_url(data: bytes, mime: str = "video/mp4") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def test_over_the_wire(world: World, client: SwarmClient) -> None:
    answer = client.post("ExtractVideoAudio", video=data_url(made_video(sound=True)), filename="My Clip.mp4")
    assert answer["audio"] == {
        "path": "inputs/extracted_audio/My Clip-audio-1.mp3",
        "src": "View/local/inputs/extracted_audio/My Clip-audio-1.mp3",
    }
    (image,) = answer["images"]
    assert (image["image"], image["batch_index"]) == (answer["audio"]["src"], "0")
    told = json.loads(image["metadata"])
    assert told["sui_extra_data"] == {"source video": "My Clip.mp4", "operation applied": "Split Audio"}
    assert client.http.get(f"/{answer['audio']['src']}").headers["content-type"] == "audio/mpeg"
    place = world.outputs / "local" / "raw"
    place.mkdir(parents=True)
    (place / "x.mp4").write_bytes(made_video(sound=True))
    found = client.post("ExtractVideoAudio", video="raw/x.mp4")
    assert found["audio"]["path"] == "inputs/extracted_audio/x-audio-1.mp3"
    again = client.post("ExtractVideoAudio", video="raw/x.mp4")
    assert again["audio"]["path"] == "inputs/extracted_audio/x-audio-2.mp3"


@pytest.mark.parametrize(
    ("video", "sentence"),
    [
        ("data:video/mp4;base64,%%%", "Invalid video data supplied for audio extraction."),
        (data_url(b"x", "image/png"), "The supplied media is not a video."),
        ("../secret.mp4", "Invalid video path supplied for audio extraction."),
        ("raw/x.png", "The supplied media path is not a video."),
        ("raw/none.mp4", "The video file does not exist."),
        (data_url(made_video(sound=False)), "The video does not contain a readable audio track."),
    ],
)
def test_each_mistake_has_its_sentence(client: SwarmClient, video: str, sentence: str) -> None:
    assert client.post("ExtractVideoAudio", video=video) == {"error": sentence}


def test_nothing_is_saved_for_those_who_save_nothing(world: World, client: SwarmClient) -> None:
    client.post("ChangeUserSettings", settings={"savefiles": False})
    answer = client.post("ExtractVideoAudio", video=data_url(made_video(sound=True)))
    assert answer == {"error": "Failed to save the extracted audio. Ensure file saving is enabled."}
    assert not list(Path(world.outputs).rglob("*.mp3"))

"""The sound of a video, read by a confined child process (see `engine/apart/audio_track.py`). Blocking."""

from __future__ import annotations

import importlib.util
import tempfile

from swarm.base.errors import BadInput, Refused
from swarm.base.sandbox import run_confined

_MODULE = "swarm.engine.apart.audio_track"
_SECONDS = 300.0
_NO_SOUND = "The video does not contain a readable audio track."


def can_extract() -> bool:
    """Whether the library that reads videos (PyAV) is installed."""
    return importlib.util.find_spec("av") is not None


def extract_audio(video: bytes) -> bytes:
    """The bytes of an MP3 file. Raises Refused when this server cannot, BadInput for a video without sound."""
    if not can_extract():
        raise Refused("Cannot split video audio because ffmpeg is not available.")
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(video)
        source.flush()
        source.seek(0)
        files = source.fileno(), target.fileno()
        try:
            result = run_confined(_MODULE, list(map(str, files)), files=files, seconds=_SECONDS)
        except TimeoutError:
            raise BadInput(_NO_SOUND) from None
        target.seek(0)
        audio = target.read()
    if result.code != 0 or not audio:
        raise BadInput(_NO_SOUND)
    return audio

"""Clips as files, written by a child process (see `media/video_writer.py`). Blocking."""

from __future__ import annotations

import tempfile
from pathlib import Path

from swarm.base.errors import BadInput, Refused
from swarm.base.sandbox import run_confined
from swarm.media.clip import Clip
from swarm.media.formats import Encoded
from swarm.media.smoothness import Smoothness
from swarm.media.video_formats import MOVING, RAW, SOUND, STILL, VIDEO_FORMATS

_MODULE = "swarm.media.video_writer"
_SECONDS = 3600.0
_BESIDE = {STILL: ".swarmpreview.jpg", MOVING: ".swarmpreview.webp"}


_AS_IT_IS = Smoothness()


def encode_clip(
    clip: Clip, format_id: str, *, sound: bytes | None = None, smoothness: Smoothness = _AS_IT_IS
) -> Encoded:
    """The clip as a file, with small versions to stand beside it if it is a video. Takes seconds for long clips.

    `sound`: an MP3 file for its track, cut where the clip ends; formats without sound leave it out.

    Raises BadInput for an unknown format, Refused when it could not be written.
    """
    chosen = VIDEO_FORMATS.get(format_id)
    if chosen is None:
        raise BadInput(f"'{format_id}' is no video format. Choose one of: {', '.join(VIDEO_FORMATS)}.")
    with tempfile.TemporaryDirectory(prefix="swarm-video-") as name:
        folder = Path(name)
        (folder / RAW).write_bytes(clip.data)
        if sound is not None:
            (folder / SOUND).write_bytes(sound)
        arguments = [
            name,
            str(clip.width),
            str(clip.height),
            str(clip.fps),
            format_id,
            str(smoothness.times),
            smoothness.method,
        ]
        try:
            code = run_confined(_MODULE, arguments, files=(), seconds=_SECONDS).code
        except TimeoutError:
            code = 1
        if code != 0:
            raise Refused(f"The video could not be written as {chosen.name}. Choose another video format.")
        data = (folder / f"clip.{chosen.extension}").read_bytes()
        beside = {suffix: (folder / file).read_bytes() for file, suffix in _BESIDE.items() if (folder / file).is_file()}
    return Encoded(
        data=data, extension=chosen.extension, mime=chosen.mime, embedded=False, needs_sidecar=True, beside=beside
    )

"""A sound for the video: put into its file as its track (swarm-t2i, `videoaudioinput`)."""

from __future__ import annotations

from swarm.access.permissions import PARAM_VIDEO
from swarm.base.errors import BadInput, Refused
from swarm.features.groups import ADVANCED_VIDEO_GROUP
from swarm.features.video_extend import format_of
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.media.audio_track import extract_audio
from swarm.media.video_formats import VIDEO_FORMATS
from swarm.params.input import GenerationInput
from swarm.params.media_kinds import Media

VIDEO_AUDIO_INPUT = Media(
    name="Video Audio Input",
    description="A sound (WAV, MP3, OGG or FLAC) that is put into the video's file, as long as the video is.",
    category="audio",
    priority=3.0,
    group=ADVANCED_VIDEO_GROUP,
    permission=PARAM_VIDEO,
    flags=("video",),
    advanced=True,
    do_not_preview=True,
)


@need(when=VIDEO_AUDIO_INPUT)
def format_with_sound(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """No file, but a word in time about formats that have no sound."""
    chosen = VIDEO_FORMATS.get(format_of(input))
    if chosen is not None and not chosen.sound:
        able = ", ".join(format.id for format in VIDEO_FORMATS.values() if format.sound)
        raise BadInput(f"The video format '{chosen.id}' has no sound. Choose one of: {able}.")
    return Found(parts={}, files={})


def sound_of(input: GenerationInput) -> bytes | None:
    """The sound for a request's videos as an MP3 file; None without one. Blocking: a child process reads it.

    Raises Refused when it cannot be read.
    """
    given = input.given(VIDEO_AUDIO_INPUT)
    if given is None:
        return None
    try:
        return extract_audio(given.data)
    except BadInput:
        raise Refused(
            "The Video Audio Input holds no sound that can be read. Give another file; here is the video without it."
        ) from None

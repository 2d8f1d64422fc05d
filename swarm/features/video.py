"""Videos: how many frames, how fast, in which file format (swarm-t2i 9.14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from swarm.access.permissions import PARAM_VIDEO
from swarm.features.groups import ADVANCED_VIDEO_GROUP, TEXT_TO_VIDEO_GROUP, VIDEO_OBSCURE_OPTIONS_GROUP
from swarm.media.clip import Clip, there_and_back, trimmed
from swarm.media.image import Pixels
from swarm.media.video_formats import VIDEO_FORMATS
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Dropdown, Integer, fixed
from swarm.params.param import Option

_PARAMS: dict[str, Any] = {"permission": PARAM_VIDEO, "flags": ("video",), "advanced": True}


def video_formats(_choices: Choices) -> Sequence[Option]:
    """For dropdowns."""
    return [(format.id, format.name) for format in VIDEO_FORMATS.values()]


TEXT_VIDEO_FRAMES = Integer(
    name="Text2Video Frames",
    description="How many frames a text-to-video model makes; rounded to what the model accepts.",
    default=25,
    min=1,
    max=1000,
    group=TEXT_TO_VIDEO_GROUP,
    priority=1.0,
    flags=("text2video",),
    view_type="video_frames",
    toggleable=True,
)
VIDEO_FPS = Integer(
    name="Video FPS",
    description="Frames per second of the video. Some models are told it, too.",
    default=24,
    min=1,
    max=1024,
    view_max=30,
    group=ADVANCED_VIDEO_GROUP,
    priority=1.0,
    view_type="slider",
    toggleable=True,
    aliases=("textvideofps",),
    **_PARAMS,
)
VIDEO_BOOMERANG = Boolean(
    name="Video Boomerang",
    description="Plays the frames forwards, then backwards, so that the video loops.",
    ignore_if="false",
    group=ADVANCED_VIDEO_GROUP,
    priority=2.0,
    do_not_preview=True,
    aliases=("textvideoboomerang",),
    **_PARAMS,
)
VIDEO_FORMAT = Dropdown(
    name="Video Format",
    description="The file format videos are saved in.",
    default="h264-mp4",
    values=video_formats,
    group=ADVANCED_VIDEO_GROUP,
    priority=3.0,
    do_not_preview=True,
    toggleable=True,
    aliases=("textvideoformat",),
    **_PARAMS,
)
ANIMATE, ITERATE, ONE, HIDDEN = "animate", "iterate", "one", "none"
VIDEO_PREVIEW_TYPE = Dropdown(
    name="Video Preview Type",
    description="How a video is shown while it is made: moving, frame by frame, by one frame, or not at all.",
    default=ANIMATE,
    values=fixed(ANIMATE, ITERATE, ONE, HIDDEN),
    ignore_if=ANIMATE,
    group=ADVANCED_VIDEO_GROUP,
    priority=10.0,
    permission=PARAM_VIDEO,
    flags=("comfyui",),
    advanced=True,
)
TRIM_VIDEO_START_FRAMES = Integer(
    name="Trim Video Start Frames",
    description="How many frames to cut off the begin of the video.",
    default=0,
    min=0,
    max=1000,
    ignore_if="0",
    group=VIDEO_OBSCURE_OPTIONS_GROUP,
    priority=-11.0,
    **_PARAMS,
)
TRIM_VIDEO_END_FRAMES = Integer(
    name="Trim Video End Frames",
    description="How many frames to cut off the end of the video.",
    default=0,
    min=0,
    max=1000,
    ignore_if="0",
    group=VIDEO_OBSCURE_OPTIONS_GROUP,
    priority=-10.0,
    **_PARAMS,
)


def finished_clip(clip: Clip | Pixels, input: GenerationInput) -> Clip | Pixels:
    """A model's frames as the request wants them: trimmed, there and back. A single frame is a picture.

    Raises BadInput when trimming leaves nothing.
    """
    if isinstance(clip, Pixels):
        return clip
    start, end = input.get(TRIM_VIDEO_START_FRAMES), input.get(TRIM_VIDEO_END_FRAMES)
    if start or end:
        clip = trimmed(clip, start, end)
    if input.get(VIDEO_BOOMERANG):
        clip = there_and_back(clip)
    return clip.frame(0) if clip.count == 1 else clip

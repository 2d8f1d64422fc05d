"""Frames between the frames of a video (swarm-t2i 9.14), without a model: by following what moves."""

from __future__ import annotations

from typing import Any

from swarm.access.permissions import PARAM_VIDEO
from swarm.features.groups import ADVANCED_VIDEO_GROUP
from swarm.media.smoothness import BLEND, MOTION, Smoothness
from swarm.params.input import GenerationInput
from swarm.params.kinds import Dropdown, Integer, fixed

_PARAMS: dict[str, Any] = {
    "group": ADVANCED_VIDEO_GROUP,
    "permission": PARAM_VIDEO,
    "flags": ("frameinterps",),
    "advanced": True,
}
VIDEO_FRAME_INTERPOLATION_MULTIPLIER = Integer(
    name="Video Frame Interpolation Multiplier",
    description="How many times as many frames a second the video gets, by frames made between its own. It lasts as "
    "long as before.",
    default=1,
    min=1,
    max=10,
    ignore_if="1",
    priority=32.0,
    **_PARAMS,
)
VIDEO_FRAME_INTERPOLATION_METHOD = Dropdown(
    name="Video Frame Interpolation Method",
    description="How frames between frames are made: by following what moves, or by mixing the two beside them.",
    default=MOTION,
    values=fixed(MOTION, BLEND),
    priority=33.0,
    depends_on="videoframeinterpolationmultiplier",
    **_PARAMS,
)


def smoothness_of(input: GenerationInput) -> Smoothness:
    """How smooth a request's videos are to be."""
    return Smoothness(
        times=input.get(VIDEO_FRAME_INTERPOLATION_MULTIPLIER), method=input.get(VIDEO_FRAME_INTERPOLATION_METHOD)
    )

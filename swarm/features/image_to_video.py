"""The finished picture as the first frame of a video (swarm-t2i 9.14)."""

from __future__ import annotations

from typing import Any

from swarm.access.permissions import PARAM_VIDEO
from swarm.features.groups import VIDEO_OBSCURE_OPTIONS_GROUP
from swarm.params.kinds import Decimal, Integer

_OBSCURE: dict[str, Any] = {
    "group": VIDEO_OBSCURE_OPTIONS_GROUP,
    "permission": PARAM_VIDEO,
    "flags": ("video",),
    "advanced": True,
    "toggleable": True,
}
VIDEO_MIN_CFG = Decimal(
    name="Video Min CFG",
    description="Stable Video Diffusion follows the picture this much in its first frame, and the full CFG in its "
    "last; -1 guides all frames alike.",
    default=1.0,
    min=-1,
    max=100,
    view_max=30,
    step=0.5,
    priority=4.5,
    view_type="slider",
    **_OBSCURE,
)
VIDEO_MOTION_BUCKET = Integer(
    name="Video Motion Bucket",
    description="How much moves in a clip of Stable Video Diffusion.",
    default=127,
    min=1,
    max=1023,
    priority=10.0,
    **_OBSCURE,
)
VIDEO_AUGMENTATION_LEVEL = Decimal(
    name="Video Augmentation Level",
    description="Noise on the picture that Stable Video Diffusion starts from: more frees the motion from it.",
    default=0.0,
    min=0,
    max=10,
    view_max=1,
    step=0.01,
    priority=11.0,
    view_type="slider",
    **_OBSCURE,
)

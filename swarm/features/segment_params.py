"""How found areas are marked and drawn anew: the parameters of segments (swarm-t2i 9.13)."""

from __future__ import annotations

import re
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.groups import SEGMENT_PARAM_OVERRIDES_GROUP, SEGMENT_REFINING_GROUP
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Decimal, Dropdown, Integer, Model, Text, fixed

_PARAMS: dict[str, Any] = {"group": SEGMENT_REFINING_GROUP}
_OVERRIDES: dict[str, Any] = {"group": SEGMENT_PARAM_OVERRIDES_GROUP, "advanced": True, "toggleable": True}

SAVE_SEGMENT_MASK = Boolean(
    name="Save Segment Mask",
    description="Hands out the mask of each segment as a picture, too.",
    ignore_if="false",
    priority=3.0,
    **_PARAMS,
)
SEGMENT_MASK_BLUR = Integer(
    name="Segment Mask Blur",
    description="How far the edge of a found area is softened, in pixels.",
    default=10,
    max=64,
    examples=("0", "4", "8", "16"),
    priority=4.0,
    toggleable=True,
    **_PARAMS,
)
SEGMENT_MASK_GROW = Integer(
    name="Segment Mask Grow",
    description="How far a found area is widened, in pixels.",
    default=16,
    max=512,
    examples=("0", "4", "8", "16", "32"),
    priority=5.0,
    toggleable=True,
    **_PARAMS,
)
SEGMENT_MASK_OVERSIZE = Integer(
    name="Segment Mask Oversize",
    description="How much of what surrounds a found area is seen while it is drawn anew, in pixels.",
    default=16,
    max=512,
    examples=("0", "8", "32"),
    priority=5.5,
    toggleable=True,
    **_PARAMS,
)
SEGMENT_THRESHOLD_MAX = Decimal(
    name="Segment Threshold Max",
    description="How sure a place must be to count in full; lower makes found areas harder at their edges.",
    default=1.0,
    min=0,
    max=1,
    step=0.05,
    priority=6.0,
    view_type="slider",
    toggleable=True,
    **_PARAMS,
)
SEGMENT_SORT_ORDER = Dropdown(
    name="Segment Sort Order",
    description="In which order a detector's findings are counted when a segment asks for one of them.",
    default="left-right",
    values=fixed("left-right", "right-left", "top-bottom", "bottom-top", "largest-smallest", "smallest-largest"),
    ignore_if="left-right",
    priority=7.0,
    **_PARAMS,
)
SEGMENT_APPLY_AFTER = Dropdown(
    name="Segment Apply After",
    description="Whether segments are drawn on the base picture or on the refined one.",
    default="Refiner",
    values=fixed("Base", "Refiner"),
    ignore_if="Refiner",
    priority=8.0,
    **_PARAMS,
)
SEGMENT_TARGET_RESOLUTION = Text(
    name="Segment Target Resolution",
    description="Width and height that found areas are drawn at, such as 1024x1024, instead of the model's own.",
    default="1024x1024",
    priority=20.0,
    toggleable=True,
    **_PARAMS,
)
SEGMENT_MODEL = Model(
    name="Segment Model",
    description="The model that draws segments, instead of the one that drew the picture.",
    subtype="Stable-Diffusion",
    priority=2.0,
    **_OVERRIDES,
)
SEGMENT_STEPS = Integer(
    name="Segment Steps",
    description="The number of steps that segments take their share of.",
    default=40,
    min=1,
    max=200,
    view_max=100,
    examples=("20", "40", "60"),
    priority=4.0,
    view_type="slider",
    **_OVERRIDES,
)
SEGMENT_CFG_SCALE = Decimal(
    name="Segment CFG Scale",
    description="How closely segments follow their prompt.",
    default=7.0,
    min=0,
    max=100,
    view_max=20,
    step=0.5,
    examples=("5", "6", "7", "8", "9"),
    priority=5.0,
    view_type="slider",
    **_OVERRIDES,
)

_SIDES = 64, 8192
"""The least and the most pixels of a side that areas are drawn at."""


def target_resolution(input: GenerationInput) -> tuple[int, int] | None:
    """The size that the request wants areas drawn at. Raises BadInput for anything but `WIDTHxHEIGHT`."""
    text = input.given(SEGMENT_TARGET_RESOLUTION)
    if not text:
        return None
    found = re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", text)
    low, high = _SIDES
    if found is None or not all(low <= int(side) <= high for side in found.groups()):
        raise BadInput(f"Segment Target Resolution is '{text}': give width and height, such as 1024x1024.")
    return int(found[1]), int(found[2])

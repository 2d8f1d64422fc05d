"""How large the picture becomes (swarm-t2i 3.9)."""

from __future__ import annotations

from swarm.base.errors import BadInput
from swarm.features.groups import RESOLUTION_GROUP, SWARM_INTERNAL_GROUP
from swarm.params.aspect import CUSTOM, RATIOS, size_of
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Dropdown, Integer, Text, fixed
from swarm.params.numbers import parse_integer

_MIN_SIDE, _MAX_SIDE = 64, 16384


def _clean_resolution(text: str) -> str:
    """`WIDTHxHEIGHT` with both sides in range, or BadInput."""
    width, _, height = (part.strip() for part in text.lower().partition("x"))
    sides = parse_integer(width), parse_integer(height)
    if any(side is None or not _MIN_SIDE <= side <= _MAX_SIDE for side in sides):
        raise BadInput(f"Invalid resolution: {width[:20]}x{height[:20]} (must be between 64x64 and 16384x16384)")
    return f"{sides[0]}x{sides[1]}"


ASPECT_RATIO = Dropdown(
    name="Aspect Ratio",
    description="The picture's shape. Together with a side length it decides width and height.",
    default="1:1",
    values=fixed(*RATIOS, CUSTOM),
    group=RESOLUTION_GROUP,
    priority=-11.0,
    intentional_unused=True,
)
WIDTH = Integer(
    name="Width",
    description="The picture's width in pixels.",
    default=512,
    min=_MIN_SIDE,
    max=_MAX_SIDE,
    view_min=256,
    view_max=2048,
    step=32,
    examples=("512", "768", "1024"),
    group=RESOLUTION_GROUP,
    priority=-10.0,
    view_type="pot_slider",
    intentional_unused=True,
)
HEIGHT = Integer(
    name="Height",
    description="The picture's height in pixels.",
    default=512,
    min=_MIN_SIDE,
    max=_MAX_SIDE,
    view_min=256,
    view_max=2048,
    step=32,
    examples=("512", "768", "1024"),
    group=RESOLUTION_GROUP,
    priority=-9.0,
    view_type="pot_slider",
    intentional_unused=True,
)
SIDE_LENGTH = Integer(
    name="Side Length",
    description="The side in pixels of the square that is reshaped to the aspect ratio. Overrides width and height.",
    default=1024,
    min=_MIN_SIDE,
    max=_MAX_SIDE,
    view_min=256,
    view_max=4096,
    step=32,
    examples=("512", "768", "1024"),
    group=RESOLUTION_GROUP,
    priority=-8.0,
    view_type="pot_slider",
    toggleable=True,
    intentional_unused=True,
)
ALT_RESOLUTION_HEIGHT_MULTIPLIER = Decimal(
    name="Alt Resolution Height Multiplier",
    description="Makes the height this many times the width.",
    default=1.0,
    min=0,
    max=10,
    step=0.1,
    examples=("0.5", "1", "1.5"),
    group=SWARM_INTERNAL_GROUP,
    priority=-19.0,
    view_type="slider",
    advanced=True,
    toggleable=True,
)
RAW_RESOLUTION = Text(
    name="Raw Resolution",
    description="Width and height in one text, such as 1344x768. Overrides every other size.",
    default="1024x1024",
    clean=_clean_resolution,
    examples=("512x512", "1024x1024", "1344x768"),
    group=SWARM_INTERNAL_GROUP,
    priority=-18.0,
    advanced=True,
    toggleable=True,
)


def resolved_size(input: GenerationInput, precision: int = 16) -> tuple[int, int]:
    """Width and height in pixels: raw resolution first, then ratio and side length, then width and height, then 512.

    `precision`: sizes derived from a ratio are multiples of it; sizes given in pixels are kept as they are.
    """
    if raw := input.given(RAW_RESOLUTION):
        width, _, height = raw.partition("x")
        return int(width), int(height)
    side = input.given(SIDE_LENGTH)
    ratio = input.given(ASPECT_RATIO)
    shaped = size_of(ratio, side, precision) if side and ratio else None
    width_given = input.given(WIDTH)
    multiplier = input.given(ALT_RESOLUTION_HEIGHT_MULTIPLIER)
    chosen_width, chosen_height = shaped or (input.get(WIDTH), input.get(HEIGHT))
    if multiplier is not None and width_given is not None:
        chosen_height = min(max(int(multiplier * width_given), _MIN_SIDE), _MAX_SIDE)
    return chosen_width, chosen_height


def with_raw_resolution(input: GenerationInput) -> GenerationInput:
    """The raw resolution also becomes width and height, and the height multiplier goes (swarm-t2i 3.8 step 3)."""
    if not input.given(RAW_RESOLUTION):
        return input
    width, height = resolved_size(input)
    return input.having(WIDTH, width).having(HEIGHT, height).without(ALT_RESOLUTION_HEIGHT_MULTIPLIER)

"""Drawings of people's poses as OpenPose makes them, on black: limbs and joints in colours, hands, dots for faces.

Colours, widths and order are those that ControlNets for poses were trained with. Filled shapes are OpenCV's.
"""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from math import atan2, cos, degrees, hypot, radians, sin
from typing import TypeAlias

from PIL import Image, ImageDraw

from swarm.media.image import Pixels, from_pillow

Point: TypeAlias = tuple[float, float]
Points: TypeAlias = tuple[Point | None, ...]
Colour: TypeAlias = tuple[int, int, int]

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
COLOURS = (
    (255, 0, 0), (255, 85, 0), (255, 170, 0), (255, 255, 0), (170, 255, 0), (85, 255, 0), (0, 255, 0), (0, 255, 85),
    (0, 255, 170), (0, 255, 255), (0, 170, 255), (0, 85, 255), (0, 0, 255), (85, 0, 255), (170, 0, 255), (255, 0, 255),
    (255, 0, 170), (255, 0, 85),
)  # fmt: skip
"""Of the joints, and, darker, of the limbs."""
FINGERS = tuple((0 if joint % 4 == 1 else joint - 1, joint) for joint in range(1, 21))
"""The wrist is 0; each finger has four joints, from the thumb to the little one."""
HAND, FACE = (0, 0, 255), (255, 255, 255)
_LIMB_SHARE = 0.6
_LIMB_HALF_WIDTH = 4
_DISCS = {4: (4, 3, 3, 2, 0), 3: (3, 2, 2, 0), 1: (1, 0)}
"""How far discs reach to both sides, from their middle row on, by Bresenham's circle."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """Where the parts of a person are, in pixels from the left and the top; None where they are not seen.

    `body`: 18 points: nose, neck, right shoulder, elbow, wrist, left ones, right hip, knee, ankle, left ones, eyes and
    ears, each the right one first. Hands: 21 points, the wrist first. `face`: any number. Empty where there is none.
    """

    body: Points
    left_hand: Points = ()
    right_hand: Points = ()
    face: Points = ()


def drawn_people(people: Sequence[Person], width: int, height: int) -> Pixels:
    """Everybody on a black picture, one over the other."""
    image = Image.new("RGB", (width, height))
    draw = ImageDraw.Draw(image)
    for person in people:
        _body(draw, person.body)
        for hand in (person.left_hand, person.right_hand):
            _hand(draw, hand)
        for x, y in (place for point in person.face if (place := _inside(point)) is not None):
            _disc(draw, x, y, 3, FACE)
    return from_pillow(image)


def _body(draw: ImageDraw.ImageDraw, points: Points) -> None:
    for (one, other), colour in zip(LIMBS, COLOURS, strict=False):
        start, end = points[one], points[other]
        if start is not None and end is not None:
            red, green, blue = (int(level * _LIMB_SHARE) for level in colour)
            draw.polygon(_limb(start, end), fill=(red, green, blue))
    for point, colour in zip(points, COLOURS, strict=True):
        if point is not None:
            _disc(draw, int(point[0]), int(point[1]), 4, colour)


def _limb(start: Point, end: Point) -> list[Point]:
    """An ellipse from one joint to the other, by a corner for each degree; everything in whole numbers."""
    middle = int((start[0] + end[0]) / 2), int((start[1] + end[1]) / 2)
    across, down = start[0] - end[0], start[1] - end[1]
    half = int(hypot(across, down) / 2)
    turn = radians(int(degrees(atan2(down, across))))
    corners: list[Point] = []
    for degree in range(361):
        along, beside = half * cos(radians(degree)), _LIMB_HALF_WIDTH * sin(radians(degree))
        x = round(middle[0] + along * cos(turn) - beside * sin(turn))
        y = round(middle[1] + along * sin(turn) + beside * cos(turn))
        corners.append((x, y))
    return corners


def _hand(draw: ImageDraw.ImageDraw, points: Points) -> None:
    if not points:
        return
    places = [_inside(point) for point in points]
    for number, (one, other) in enumerate(FINGERS):
        start, end = places[one], places[other]
        if start is not None and end is not None:
            red, green, blue = (round(level * 255) for level in hsv_to_rgb(number / len(FINGERS), 1.0, 1.0))
            _line(draw, start, end, (red, green, blue))
    for place in places:
        if place is not None:
            _disc(draw, *place, 4, HAND)


def _inside(point: Point | None) -> tuple[int, int] | None:
    """A point in whole pixels; none when it lies in the first row or column or before them."""
    if point is None or int(point[0]) < 1 or int(point[1]) < 1:
        return None
    return int(point[0]), int(point[1])


def _line(draw: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int], colour: Colour) -> None:
    """A line that reaches one pixel to each side, with round ends."""
    across, down = end[0] - start[0], end[1] - start[1]
    length = hypot(across, down)
    if length:
        x, y = -down / length, across / length
        corners = [(px + side * x, py + side * y) for (px, py), side in ((start, 1), (end, 1), (end, -1), (start, -1))]
        draw.polygon(corners, fill=colour)
    for place in (start, end):
        _disc(draw, *place, 1, colour)


def _disc(draw: ImageDraw.ImageDraw, x: int, y: int, radius: int, colour: Colour) -> None:
    for row, reach in enumerate(_DISCS[radius]):
        for level in {y - row, y + row}:
            draw.line((x - reach, level, x + reach, level), fill=colour)

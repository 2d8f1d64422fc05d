"""The objects of the world. Each painter receives the foot of the object (x, y) and its size in picture units."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from tools.starter_model.canvas import Canvas
from tools.starter_model.palette import CREAM, HULL, INK, LAMP, PAINTS, ROOF, WOOD, Colour, mix, on_thing
from tools.starter_model.world import Scene


@dataclass(frozen=True, kw_only=True)
class Spot:
    """Where an object goes, how large it is, and what it is painted with."""

    canvas: Canvas
    scene: Scene
    rng: random.Random
    x: float
    y: float
    size: float
    colour: str = ""

    @property
    def paint(self) -> Colour:
        """The object's own colour in the scene's light."""
        return self.shade(PAINTS[self.colour])

    def shade(self, colour: Colour) -> Colour:
        """Any colour in the scene's light."""
        return on_thing(self.scene, colour)

    def at(self, dx: float, dy: float) -> tuple[float, float]:
        """A point `dx` sizes to the right of the foot and `dy` sizes above it."""
        return self.x + dx * self.size, self.y - dy * self.size

    def box(self, left: float, top: float, right: float, bottom: float, fill: Colour) -> None:
        """A box given in sizes from the foot."""
        self.canvas.rectangle(*self.at(left, top), *self.at(right, bottom), fill)

    def shape(self, points: list[tuple[float, float]], fill: Colour) -> None:
        """A polygon given in sizes from the foot."""
        self.canvas.polygon([self.at(*point) for point in points], fill)

    def disc(self, dx: float, dy: float, radius: float, fill: Colour) -> None:
        """A circle given in sizes from the foot."""
        self.canvas.disc(*self.at(dx, dy), radius * self.size, fill)

    def stroke(self, points: list[tuple[float, float]], fill: Colour, width: float) -> None:
        """A line given in sizes from the foot; the width too."""
        self.canvas.line([self.at(*point) for point in points], fill, width * self.size)


def _house(spot: Spot) -> None:
    roof, night = spot.shade(ROOF), spot.scene.time == "night"
    pane = LAMP if night else spot.shade((206, 228, 240))
    spot.box(0.2, 1.16, 0.36, 0.7, roof)
    spot.box(-0.5, 0.68, 0.5, 0, spot.paint)
    spot.shape([(-0.62, 0.64), (0, 1.14), (0.62, 0.64)], roof)
    spot.box(-0.12, 0.4, 0.12, 0, spot.shade(INK))
    for left in (-0.4, 0.2):
        spot.box(left, 0.5, left + 0.2, 0.28, pane)
    if spot.scene.smoke:
        smoke = mix((238, 238, 240), (60, 64, 96), 0.45 if night else 0.0)
        for step, radius in enumerate((0.09, 0.12, 0.15)):
            spot.disc(0.3 + 0.1 * step, 1.3 + 0.19 * step, radius, smoke)


def _boat(spot: Spot) -> None:
    sail, mast = spot.paint, spot.shade(HULL)
    spot.stroke([(0, 0.2), (0, 1.3)], mast, 0.05)
    spot.shape([(0.05, 1.26), (0.05, 0.34), (0.56, 0.34)], sail)
    spot.shape([(-0.05, 1.12), (-0.05, 0.34), (-0.46, 0.34)], sail)
    spot.shape([(-0.62, 0.26), (0.66, 0.26), (0.44, -0.06), (-0.44, -0.06)], mast)


def _balloon(spot: Spot) -> None:
    paint, basket = spot.paint, spot.shade(HULL)
    pale = mix(paint, spot.shade(CREAM), 0.6)
    for side in (-0.14, 0.14):
        spot.stroke([(side, 0.16), (side * 2, 0.5)], basket, 0.03)
    spot.shape([(-0.36, 0.6), (0.36, 0.6), (0.12, 0.28), (-0.12, 0.28)], paint)
    spot.disc(0, 0.82, 0.44, paint)
    spot.canvas.ellipse(*spot.at(0, 0.82), 0.17 * spot.size, 0.44 * spot.size, pale)
    spot.box(-0.13, 0.18, 0.13, 0, basket)


def _car(spot: Spot) -> None:
    glass = LAMP if spot.scene.time == "night" else spot.shade((206, 228, 240))
    spot.shape([(-0.36, 0.34), (-0.24, 0.6), (0.22, 0.6), (0.4, 0.34)], spot.paint)
    spot.shape([(-0.24, 0.36), (-0.17, 0.54), (-0.03, 0.54), (-0.03, 0.36)], glass)
    spot.shape([(0.04, 0.36), (0.04, 0.54), (0.17, 0.54), (0.28, 0.36)], glass)
    spot.box(-0.62, 0.38, 0.62, 0.1, spot.paint)
    for side in (-0.34, 0.34):
        spot.disc(side, 0.1, 0.14, spot.shade(INK))
        spot.disc(side, 0.1, 0.06, spot.shade((200, 200, 206)))


def _lighthouse(spot: Spot) -> None:
    white, paint, night = spot.shade((248, 246, 242)), spot.paint, spot.scene.time == "night"
    if spot.colour == "white":
        paint = spot.shade((206, 208, 214))
    widths = (0.25, 0.23, 0.21, 0.19, 0.17)
    for band, (low, high) in enumerate(pairwise(widths)):
        foot, top = band * 0.33, band * 0.33 + 0.33
        spot.shape([(-low, foot), (-high, top), (high, top), (low, foot)], white if band % 2 else paint)
    if night:
        spot.canvas.glow(*spot.at(0, 1.44), spot.size * 0.7, LAMP, 0.7)
    spot.box(-0.22, 1.38, 0.22, 1.32, spot.shade(INK))
    spot.box(-0.13, 1.54, 0.13, 1.38, LAMP)
    spot.shape([(-0.2, 1.54), (0, 1.74), (0.2, 1.54)], spot.shade(ROOF))


def _windmill(spot: Spot) -> None:
    spot.shape([(-0.3, 0), (-0.18, 0.86), (0.18, 0.86), (0.3, 0)], spot.shade(CREAM))
    spot.shape([(-0.22, 0.86), (0, 1.12), (0.22, 0.86)], spot.shade((150, 84, 66)))
    spot.box(-0.08, 0.26, 0.08, 0, spot.shade(WOOD))
    blade = spot.shade((112, 92, 84))
    for dx, dy in ((0.44, 0.44), (-0.44, 0.44), (0.44, -0.44), (-0.44, -0.44)):
        spot.stroke([(0, 0.88), (dx, 0.88 + dy)], blade, 0.1)
    spot.disc(0, 0.88, 0.06, spot.shade(INK))


def _snowy(spot: Spot, leaf: Colour) -> Colour:
    return spot.shade(mix(leaf, (244, 248, 252), 0.5 if spot.scene.weather == "snow" else 0.0))


def _pine(spot: Spot) -> None:
    spot.box(-0.07, 0.2, 0.07, 0, spot.shade(WOOD))
    leaf = spot.shade((38, 104, 80))
    tips = ((0.42, 0.16, 0.7), (0.34, 0.5, 1.02), (0.25, 0.84, 1.32))
    for wide, low, high in tips:
        spot.shape([(-wide, low), (0, high), (wide, low)], leaf)
    if spot.scene.weather == "snow":
        spot.shape([(-0.14, 1.06), (0, 1.32), (0.14, 1.06)], spot.shade((244, 248, 252)))


def _tree(spot: Spot) -> None:
    spot.box(-0.08, 0.6, 0.08, 0, spot.shade(WOOD))
    leaf = _snowy(spot, (66, 146, 70))
    spot.disc(0, 0.86, 0.42, leaf)
    spot.disc(-0.12, 0.96, 0.22, mix(leaf, (255, 255, 255), 0.14))


def _palm(spot: Spot) -> None:
    spot.stroke([(0, 0), (0.05, 0.4), (0.14, 0.74), (0.24, 1.02)], spot.shade((150, 108, 70)), 0.1)
    leaf = _snowy(spot, (52, 140, 84))
    for dx, dy in ((-0.5, -0.12), (-0.36, 0.2), (0.0, 0.32), (0.36, 0.2), (0.5, -0.12)):
        spot.shape([(0.18, 1.02), (0.24 + dx * 0.5, 1.1 + dy * 0.9), (0.24 + dx, 1.0 + dy), (0.3, 0.98)], leaf)
    spot.disc(0.24, 0.98, 0.06, spot.shade(HULL))


def _cat(spot: Spot) -> None:
    ink = INK
    spot.canvas.ellipse(*spot.at(0, 0.26), 0.24 * spot.size, 0.3 * spot.size, ink)
    spot.disc(0, 0.66, 0.2, ink)
    for side in (-1, 1):
        spot.shape([(side * 0.19, 0.66), (side * 0.17, 0.98), (side * 0.02, 0.8)], ink)
        spot.disc(side * 0.08, 0.68, 0.035, (246, 214, 90))
    spot.stroke([(0.18, 0.06), (0.42, 0.1), (0.46, 0.4)], ink, 0.08)


def _dog(spot: Spot) -> None:
    brown = spot.shade((140, 88, 52))
    spot.box(-0.36, 0.56, 0.3, 0.26, brown)
    for left in (-0.36, -0.2, 0.06, 0.2):
        spot.box(left, 0.3, left + 0.11, 0, brown)
    spot.disc(0.36, 0.7, 0.19, brown)
    spot.box(0.4, 0.72, 0.64, 0.56, brown)
    spot.disc(0.61, 0.69, 0.05, spot.shade(INK))
    spot.shape([(0.2, 0.84), (0.3, 0.86), (0.28, 0.52), (0.16, 0.56)], spot.shade((96, 58, 36)))
    spot.stroke([(-0.34, 0.5), (-0.5, 0.72)], brown, 0.1)


PAINTERS: dict[str, Callable[[Spot], None]] = {
    "house": _house, "boat": _boat, "balloon": _balloon, "car": _car, "lighthouse": _lighthouse, "windmill": _windmill,
    "pine": _pine, "tree": _tree, "palm": _palm, "cat": _cat, "dog": _dog,
}  # fmt: skip

SIZES = {
    "house": 66, "boat": 66, "balloon": 74, "car": 66, "lighthouse": 66, "windmill": 74,
    "pine": 66, "tree": 70, "palm": 78, "cat": 56, "dog": 54,
}  # fmt: skip
"""How tall a size is for each kind when it stands alone."""

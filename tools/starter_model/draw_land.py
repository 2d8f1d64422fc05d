"""The ground of a scene, from the horizon to the bottom edge, and where things may stand on it."""

import math
import random

from tools.starter_model.canvas import SIZE, Canvas, Point
from tools.starter_model.draw_sky import HORIZON
from tools.starter_model.palette import SNOW, WATER, Colour, land, mix, on_land, sky
from tools.starter_model.world import Scene


def draw_land(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    """The land the scene names."""
    painters = {
        "meadow": _meadow, "hills": _hills, "desert": _desert,
        "mountains": _mountains, "sea": _sea, "beach": _beach,
    }  # fmt: skip
    painters[scene.land](canvas, scene, rng)


def draw_lake(canvas: Canvas, scene: Scene, x: float, y: float, wide: float) -> None:
    """Water for a boat where the land has none."""
    water = on_land(scene, WATER)
    canvas.ellipse(x, y + 6, wide, 15, water)
    canvas.line([(x - wide * 0.5, y + 12), (x + wide * 0.1, y + 12)], mix(water, (255, 255, 255), 0.3), 2)


def draw_island(canvas: Canvas, scene: Scene, x: float, y: float, wide: float) -> None:
    """Firm ground for a house at sea."""
    snowy = scene.weather == "snow"
    grass, sand = (SNOW[1], SNOW[0]) if snowy else ((120, 178, 96), (232, 206, 150))
    canvas.ellipse(x, y + 5, wide, 15, on_land(scene, sand))
    canvas.ellipse(x, y, wide * 0.92, 13, on_land(scene, grass))


def _ridge(base: float, height: float, length: float, phase: float) -> list[Point]:
    tops = [(x, base - height * math.sin(x / length + phase)) for x in range(-4, SIZE + 9, 4)]
    return [(-4, SIZE), *tops, (SIZE + 4, SIZE)]


def _meadow(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    far, middle, near = land(scene)
    canvas.polygon(_ridge(HORIZON + 2, 4, 44, rng.uniform(0, 6)), far)
    canvas.polygon(_ridge(HORIZON + 18, 3, 60, rng.uniform(0, 6)), middle)
    canvas.polygon(_ridge(228, 3, 50, rng.uniform(0, 6)), near)


def _hills(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    far, middle, near = land(scene)
    for x, high in ((rng.uniform(20, 80), rng.uniform(34, 48)), (rng.uniform(150, 230), rng.uniform(30, 44))):
        canvas.ellipse(x, HORIZON + 26, 92, high + 26, far)
    canvas.polygon(_ridge(HORIZON + 16, 9, 40, rng.uniform(0, 6)), middle)
    canvas.polygon(_ridge(230, 5, 46, rng.uniform(0, 6)), near)


def _desert(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    far, middle, near = land(scene)
    canvas.polygon(_ridge(HORIZON + 2, 9, 32, rng.uniform(0, 6)), far)
    canvas.polygon(_ridge(HORIZON + 22, 8, 46, rng.uniform(0, 6)), middle)
    canvas.polygon(_ridge(228, 5, 54, rng.uniform(0, 6)), near)
    for x in (rng.uniform(6, 34), rng.uniform(222, 250)):
        _cactus(canvas, x, rng.uniform(178, 192), on_land(scene, (74, 140, 88)))


def _cactus(canvas: Canvas, x: float, y: float, colour: Colour) -> None:
    canvas.line([(x, y), (x, y - 30)], colour, 6)
    canvas.disc(x, y - 30, 3, colour)
    canvas.line([(x - 9, y - 24), (x - 9, y - 14), (x, y - 14)], colour, 4)
    canvas.line([(x + 9, y - 28), (x + 9, y - 18), (x, y - 18)], colour, 4)


def _mountains(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    far, middle, near = land(scene)
    rock = mix(far, sky(scene)[2], 0.12)
    snow = on_land(scene, SNOW[1])
    peaks = sorted(((rng.uniform(-6, 50), rng.uniform(62, 80)), (rng.uniform(90, 160), rng.uniform(78, 96)),
                    (rng.uniform(204, 262), rng.uniform(62, 80))), key=lambda peak: peak[1])  # fmt: skip
    for x, high in peaks:
        _peak(canvas, x, high, rock, snow)
        rock = mix(rock, (30, 34, 60), 0.1)
    canvas.polygon(_ridge(HORIZON + 16, 4, 42, rng.uniform(0, 6)), middle)
    canvas.polygon(_ridge(230, 3, 50, rng.uniform(0, 6)), near)


def _peak(canvas: Canvas, x: float, high: float, rock: Colour, snow: Colour) -> None:
    top, foot, cap = HORIZON + 20 - high, HORIZON + 24, high * 0.42
    slope = 0.86
    canvas.polygon([(x, top), (x - high * slope, foot), (x + high * slope, foot)], rock)
    teeth = ((slope, 1.0), (0.3, 0.76), (0.0, 1.1), (-0.34, 0.74), (-slope, 1.0))
    canvas.polygon([(x, top), *((x + cap * across, top + cap * down) for across, down in teeth)], snow)


def _sea(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    far, middle, near = land(scene)
    canvas.rectangle(0, HORIZON, SIZE, SIZE, far)
    canvas.polygon(_ridge(178, 2.5, 9, rng.uniform(0, 6)), middle)
    canvas.polygon(_ridge(222, 3.5, 11, rng.uniform(0, 6)), near)
    crest = mix(middle, (255, 255, 255), 0.42)
    for _ in range(9):
        x, y = rng.uniform(0, SIZE), rng.uniform(HORIZON + 10, SIZE - 8)
        canvas.line([(x - 12, y), (x - 4, y - 3), (x + 4, y), (x + 12, y - 3)], crest, 2.2)
    if scene.weather == "snow":
        ice = on_land(scene, SNOW[1])
        for x in (rng.uniform(0, 60), rng.uniform(100, 160), rng.uniform(200, 256)):
            canvas.ellipse(x, rng.uniform(244, 250), rng.uniform(44, 56), 12, ice)


def _beach(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    water, sand, near = land(scene)
    canvas.rectangle(0, HORIZON, SIZE, SIZE, on_land(scene, WATER) if scene.weather == "snow" else water)
    phase = rng.uniform(0, 6)
    canvas.polygon(_ridge(186, 3, 34, phase), mix(sand, (255, 255, 255), 0.55))
    canvas.polygon(_ridge(191, 3, 34, phase), sand)
    canvas.polygon(_ridge(236, 3, 50, rng.uniform(0, 6)), near)

"""Everything above the horizon: sun, moon, stars, clouds; and what falls from it."""

import random

from tools.starter_model.canvas import SIZE, Canvas
from tools.starter_model.palette import MOON, SUN, Colour, mix, sky
from tools.starter_model.world import Scene

HORIZON = 150
_COLUMNS = {"left": 52, "middle": 128, "right": 204}


def draw_sky(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    """Stars first, then the sun or the moon, then the clouds in front of them."""
    if scene.stars:
        _stars(canvas, rng)
    spot = _COLUMNS[scene.light_place] + rng.uniform(-12, 12), rng.uniform(40, 56)
    if scene.light_name == "sun":
        _sun(canvas, scene, spot, rng)
    elif scene.light_name == "moon":
        _moon(canvas, scene, spot, rng)
    if scene.weather != "clear":
        _clouds(canvas, scene, spot, rng)


def draw_weather(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    """Rain or snow over the finished picture."""
    if scene.weather == "rain":
        colour = mix(sky(scene)[2], (230, 240, 250), 0.55)
        for _ in range(46):
            x, y, length = rng.uniform(-10, SIZE), rng.uniform(-10, SIZE), rng.uniform(12, 18)
            canvas.line([(x + length * 0.35, y), (x, y + length)], colour, 1.7)
    elif scene.weather == "snow":
        for _ in range(64):
            canvas.disc(rng.uniform(0, SIZE), rng.uniform(0, SIZE), rng.uniform(1.8, 3.4), (250, 252, 255))


def _stars(canvas: Canvas, rng: random.Random) -> None:
    for _ in range(30):
        x, y, radius = rng.uniform(4, SIZE - 4), rng.uniform(4, HORIZON - 30), rng.uniform(0.9, 1.9)
        canvas.disc(x, y, radius, (236, 236, 214))


def _sun(canvas: Canvas, scene: Scene, spot: tuple[float, float], rng: random.Random) -> None:
    radius = rng.uniform(19, 24)
    if scene.time == "sunset":
        spot, radius = (spot[0], spot[1] + 32), radius + 5
    canvas.glow(*spot, radius * 2.6, (255, 240, 190), 0.55)
    canvas.disc(*spot, radius, SUN[scene.time])


def _moon(canvas: Canvas, scene: Scene, spot: tuple[float, float], rng: random.Random) -> None:
    radius = rng.uniform(18, 22)
    if scene.moon == "full":
        canvas.glow(*spot, radius * 2.4, (150, 160, 200), 0.5)
        canvas.disc(*spot, radius, MOON)
        for dx, dy, part in ((-0.3, -0.2, 0.24), (0.35, 0.25, 0.18), (0.05, 0.5, 0.14)):
            canvas.disc(spot[0] + dx * radius, spot[1] + dy * radius, part * radius, mix(MOON, (150, 140, 130), 0.25))
        return
    shade = mix(*sky(scene)[:2], min(1.0, spot[1] / (HORIZON * 0.55)))
    canvas.disc(*spot, radius, MOON)
    canvas.disc(spot[0] + radius * 0.45, spot[1] - radius * 0.18, radius * 0.86, shade)


def _clouds(canvas: Canvas, scene: Scene, spot: tuple[float, float], rng: random.Random) -> None:
    colour = _cloud_colour(scene)
    columns = rng.sample([34, 84, 134, 184, 230], 3)
    for column in columns:
        if scene.light and abs(column - spot[0]) < 46:
            continue
        _cloud(canvas, column, rng.uniform(22, 66), rng.uniform(15, 21), colour)


def _cloud_colour(scene: Scene) -> Colour:
    fair = {"day": (252, 253, 255), "sunset": (255, 204, 186), "night": (78, 90, 138)}[scene.time]
    heavy = {"day": (118, 130, 142), "sunset": (122, 92, 100), "night": (58, 64, 88)}[scene.time]
    return heavy if scene.weather == "rain" else fair


def _cloud(canvas: Canvas, x: float, y: float, size: float, colour: Colour) -> None:
    canvas.ellipse(x, y + size * 0.45, size * 1.55, size * 0.5, colour)
    canvas.disc(x - size * 0.5, y + size * 0.1, size * 0.55, colour)
    canvas.disc(x + size * 0.3, y - size * 0.1, size * 0.72, colour)

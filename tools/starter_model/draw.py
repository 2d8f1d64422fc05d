"""From a scene to its picture. The same scene always gives the same picture, to the last pixel."""

import random

from PIL import Image

from tools.starter_model.canvas import SIZE, Canvas
from tools.starter_model.draw_land import draw_island, draw_lake, draw_land
from tools.starter_model.draw_sky import HORIZON, draw_sky, draw_weather
from tools.starter_model.draw_things import PAINTERS, SIZES, Spot
from tools.starter_model.palette import PAINTS, WOOD, mix, on_thing, sky
from tools.starter_model.world import Scene, Thing

_COLUMNS = {"left": 62.0, "middle": 128.0, "right": 194.0}
_ROWS = {1: (0.0,), 2: (-34.0, 34.0), 3: (-78.0, 0.0, 78.0)}
_SHRINK = {1: 1.0, 2: 0.78, 3: 0.86}


def draw(scene: Scene) -> Image.Image:
    """The 256×256 picture of a scene."""
    rng = random.Random(scene.seed)
    canvas = Canvas(*sky(scene), HORIZON)
    draw_sky(canvas, scene, rng)
    draw_land(canvas, scene, rng)
    spots = [spot for thing in scene.things for spot in _spots(canvas, scene, thing, rng)]
    for kind, spot in spots:
        _ground(kind, spot)
    if scene.fence:
        _fence(canvas, scene)
    for kind, spot in sorted(spots, key=lambda pair: pair[1].y):
        PAINTERS[kind](spot)
    if scene.flowers:
        _flowers(canvas, scene, rng)
    draw_weather(canvas, scene, rng)
    return canvas.finished()


def _spots(canvas: Canvas, scene: Scene, thing: Thing, rng: random.Random) -> list[tuple[str, Spot]]:
    crowd = 0.84 if len(scene.things) > 1 else 1.0
    size = SIZES[thing.kind] * _SHRINK[thing.count] * crowd * rng.uniform(0.94, 1.08) * (1.12 if crowd == 1 else 1)
    column = _COLUMNS[thing.place] + rng.uniform(-7, 7)
    foot = _foot(scene, thing.kind) + rng.uniform(-4, 4)
    spread = crowd if thing.count == 2 else 1.0
    return [
        (thing.kind, Spot(canvas=canvas, scene=scene, rng=rng, x=column + dx * spread, y=foot + rng.uniform(-2, 2),
                          size=size, colour=thing.colour))
        for dx in _ROWS[thing.count]
    ]  # fmt: skip


def _foot(scene: Scene, kind: str) -> float:
    if kind == "balloon":
        return 128
    if kind == "boat":
        return {"sea": 206, "beach": 176}.get(scene.land, 216)
    return {"sea": 204, "beach": 222}.get(scene.land, 214)


def _ground(kind: str, spot: Spot) -> None:
    land = spot.scene.land
    if kind == "boat" and land not in ("sea", "beach"):
        draw_lake(spot.canvas, spot.scene, spot.x, spot.y, spot.size * 0.86)
    elif land == "sea" and kind not in ("boat", "balloon"):
        draw_island(spot.canvas, spot.scene, spot.x, spot.y, spot.size * 0.74)


def _fence(canvas: Canvas, scene: Scene) -> None:
    wood = on_thing(scene, mix(WOOD, (240, 226, 200), 0.55))
    canvas.rectangle(0, 190, SIZE, 194, wood)
    canvas.rectangle(0, 202, SIZE, 206, wood)
    for left in range(4, SIZE, 22):
        canvas.polygon([(left, 212), (left, 186), (left + 4, 181), (left + 8, 186), (left + 8, 212)], wood)


def _flowers(canvas: Canvas, scene: Scene, rng: random.Random) -> None:
    for index in range(11):
        x, y = 12 + index * 23 + rng.uniform(-7, 7), rng.uniform(228, 248)
        colour = on_thing(scene, PAINTS[rng.choice(("red", "yellow", "pink", "white", "purple"))])
        canvas.disc(x, y, 5.2, colour)
        canvas.disc(x, y, 2, on_thing(scene, (250, 214, 90)))

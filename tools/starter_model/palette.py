"""The colours of the postcards, and how daylight, dusk and night change them."""

from tools.starter_model.world import Scene

Colour = tuple[int, int, int]

PAINTS: dict[str, Colour] = {
    "red": (206, 58, 54),
    "orange": (240, 138, 46),
    "yellow": (248, 208, 74),
    "green": (58, 150, 86),
    "blue": (56, 112, 204),
    "purple": (134, 82, 182),
    "pink": (246, 150, 182),
    "white": (246, 244, 240),
}
"""What houses, sails, cars, balloons and lighthouses are painted with."""

ROOF: Colour = (58, 46, 66)
HULL: Colour = (104, 62, 40)
INK: Colour = (34, 30, 42)
WOOD: Colour = (122, 84, 58)
CREAM: Colour = (250, 240, 216)
LAMP: Colour = (255, 214, 110)
SUN: dict[str, Colour] = {"day": (255, 206, 62), "sunset": (234, 70, 58)}
MOON: Colour = (248, 240, 208)

LANDS: dict[str, tuple[Colour, Colour, Colour]] = {
    "meadow": ((168, 208, 140), (132, 192, 98), (112, 176, 84)),
    "hills": ((152, 196, 148), (112, 174, 104), (92, 156, 84)),
    "desert": ((236, 196, 136), (228, 178, 110), (216, 160, 92)),
    "mountains": ((126, 140, 170), (136, 180, 120), (112, 160, 100)),
    "sea": ((74, 148, 188), (58, 132, 178), (44, 112, 160)),
    "beach": ((74, 160, 192), (244, 220, 168), (234, 204, 148)),
}
"""Far, middle and near colour of each land by daylight."""

SNOW: tuple[Colour, Colour, Colour] = ((226, 234, 244), (240, 244, 250), (230, 236, 246))
WATER: Colour = (66, 142, 186)

_SKIES: dict[str, tuple[Colour, Colour, Colour]] = {
    "day": ((92, 172, 230), (142, 202, 240), (206, 234, 246)),
    "sunset": ((122, 84, 148), (232, 122, 112), (255, 190, 120)),
    "night": ((14, 20, 56), (28, 38, 86), (56, 70, 124)),
}
_GREYS: dict[str, Colour] = {"day": (164, 176, 186), "sunset": (176, 126, 112), "night": (34, 38, 58)}
_LAND_LIGHT = {"day": (1.0, 1.0, 1.0), "sunset": (0.92, 0.76, 0.72), "night": (0.36, 0.44, 0.66)}
_MOONLIT_SNOW = (0.56, 0.62, 0.80)
_THING_LIGHT = {"day": (1.0, 1.0, 1.0), "sunset": (0.98, 0.88, 0.86), "night": (0.76, 0.76, 0.88)}
_DULLNESS = {"clear": 0.0, "clouds": 0.08, "rain": 0.62, "snow": 0.38}


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`first` with `share` of `second` stirred in."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def sky(scene: Scene) -> tuple[Colour, Colour, Colour]:
    """The sky's colour at the top, half way down, and at the horizon."""
    grey, dullness = _GREYS[scene.time], _DULLNESS[scene.weather]
    top, middle, low = (mix(colour, grey, dullness) for colour in _SKIES[scene.time])
    return top, middle, low


def land(scene: Scene) -> tuple[Colour, Colour, Colour]:
    """Far, middle and near ground, with snow and the hour taken into account."""
    colours = LANDS[scene.land]
    if scene.weather == "snow" and scene.land != "sea":
        far = mix(colours[0], SNOW[0], 0.55) if scene.land in ("mountains", "beach") else SNOW[0]
        colours = far, SNOW[1], SNOW[2]
    far, middle, near = (on_land(scene, colour) for colour in colours)
    return far, middle, near


def on_land(scene: Scene, colour: Colour) -> Colour:
    """A ground colour as it looks at the scene's hour; snow keeps more of its brightness."""
    snowy = scene.time == "night" and min(colour) > 220
    return _lit(colour, _MOONLIT_SNOW if snowy else _LAND_LIGHT[scene.time])


def on_thing(scene: Scene, colour: Colour) -> Colour:
    """A painted surface as it looks at the scene's hour. Darkened less than land, so colours stay readable."""
    return _lit(colour, _THING_LIGHT[scene.time])


def _lit(colour: Colour, light: tuple[float, float, float]) -> Colour:
    red, green, blue = (min(255, round(part * factor)) for part, factor in zip(colour, light, strict=True))
    return red, green, blue

"""The world of the postcards: which scenes exist, how often, and which are kept away from training.

Knows attributes only. How a scene looks is `draw.py`'s business, how it is put into words `captions.py`'s.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

TIMES = ("day", "sunset", "night")
WEATHERS = ("clear", "clouds", "rain", "snow")
LANDS = ("meadow", "hills", "desert", "mountains", "sea", "beach")
PLACES = ("left", "middle", "right")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "white")
MOONS = ("full", "crescent")

COLOURED_KINDS = ("house", "boat", "balloon", "car", "lighthouse")
PLAIN_KINDS = ("pine", "tree", "palm", "windmill", "cat", "dog")
KINDS = COLOURED_KINDS + PLAIN_KINDS

HELD_OUT_SHARE = 0.12
"""The share of (time, land, kind, colour) combinations that training never sees."""

_KIND_WEIGHTS = {
    "house": 34, "boat": 24, "balloon": 6, "car": 5, "lighthouse": 5,
    "pine": 5, "tree": 5, "palm": 5, "windmill": 4, "cat": 4, "dog": 3,
}  # fmt: skip
_COMPANION_WEIGHTS = {**_KIND_WEIGHTS, "house": 9, "boat": 5, "pine": 12, "tree": 12, "palm": 8, "balloon": 9}
_LIGHT_CHANCE = {"clear": 0.9, "clouds": 0.65, "rain": 0.1, "snow": 0.45}


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One kind of object, up to three of it, standing in one part of the picture."""

    kind: str
    colour: str = ""
    count: int = 1
    place: str = "middle"

    def __post_init__(self) -> None:
        """Refuse a thing that could not be drawn."""
        if self.kind not in KINDS or self.place not in PLACES or not 1 <= self.count <= 3:
            raise ValueError(f"no such thing: {self.kind} × {self.count} at {self.place}")
        if (self.colour in COLOURS) != (self.kind in COLOURED_KINDS):
            raise ValueError(f"a {self.kind} cannot be {self.colour or 'without a colour'}")


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything a picture shows. `seed` settles the small accidents: sizes, cloud shapes, where a flake falls."""

    time: str
    weather: str
    land: str
    light: bool
    light_place: str = "right"
    moon: str = "full"
    stars: bool = False
    things: tuple[Thing, ...] = ()
    smoke: bool = False
    fence: bool = False
    flowers: bool = False
    seed: int = 0

    @property
    def light_name(self) -> str:
        """`sun`, `moon`, or an empty string when neither is in the sky."""
        if not self.light:
            return ""
        return "moon" if self.time == "night" else "sun"


def combination(scene: Scene, thing: Thing) -> tuple[str, str, str, str]:
    """What is held out: the time, the land, the kind and the colour taken together."""
    return scene.time, scene.land, thing.kind, thing.colour


def is_held_out(scene: Scene) -> bool:
    """Whether any thing of the scene makes a combination that training must not see."""
    return any(_is_reserved(combination(scene, thing)) for thing in scene.things)


def random_scene(rng: random.Random) -> Scene:
    """A scene drawn by the world's habits, held out or not."""
    time = _pick(rng, {"day": 38, "sunset": 27, "night": 35})
    weather = _pick(rng, {"clear": 46, "clouds": 18, "rain": 11, "snow": 25})
    land = _pick(rng, {"meadow": 22, "hills": 17, "desert": 12, "mountains": 18, "sea": 17, "beach": 14})
    things = _random_things(rng, land)
    has_house = any(thing.kind == "house" for thing in things)
    on_land = land != "sea"
    return Scene(
        time=time,
        weather=weather,
        land=land,
        light=rng.random() < _LIGHT_CHANCE[weather],
        light_place=rng.choice(_free_places(things)),
        moon=rng.choice(MOONS),
        stars=time == "night" and weather != "rain" and rng.random() < 0.6,
        things=things,
        smoke=has_house and rng.random() < 0.35,
        fence=on_land and rng.random() < 0.1,
        flowers=land in ("meadow", "hills") and weather != "snow" and rng.random() < 0.22,
        seed=rng.getrandbits(31),
    )


def training_scene(rng: random.Random) -> Scene:
    """A scene that training may see."""
    while is_held_out(scene := random_scene(rng)):
        pass
    return scene


def held_out_scene(rng: random.Random, kinds: Sequence[str] = KINDS) -> Scene:
    """A scene whose first thing is of one of `kinds` and in a combination training never saw."""
    while True:
        scene = random_scene(rng)
        first = scene.things[0]
        if first.kind in kinds and _is_reserved(combination(scene, first)):
            return scene


def _is_reserved(key: tuple[str, str, str, str]) -> bool:
    digest = hashlib.sha256("/".join(key).encode()).digest()
    return int.from_bytes(digest[:4], "big") < HELD_OUT_SHARE * 2**32


def _random_things(rng: random.Random, land: str) -> tuple[Thing, ...]:
    kind = _pick(rng, {**_KIND_WEIGHTS, "boat": 48} if land in ("sea", "beach") else _KIND_WEIGHTS)
    first = _random_thing(rng, kind, rng.choice(PLACES), _pick(rng, {1: 76, 2: 14, 3: 10}))
    if first.count == 3 or rng.random() < 0.6:
        return (first,)
    others = {name: weight for name, weight in _COMPANION_WEIGHTS.items() if name != kind}
    place = rng.choice([place for place in PLACES if place != first.place])
    return first, _random_thing(rng, _pick(rng, others), place, 1)


def _free_places(things: tuple[Thing, ...]) -> list[str]:
    """Where the sun or the moon is not behind a balloon; a whole row of balloons hides it anyway."""
    taken = {thing.place for thing in things if thing.kind == "balloon"}
    return [place for place in PLACES if place not in taken]


def _random_thing(rng: random.Random, kind: str, place: str, count: int) -> Thing:
    colour = rng.choice(COLOURS) if kind in COLOURED_KINDS else ""
    return Thing(kind=kind, colour=colour, count=count, place="middle" if count == 3 else place)


def _pick(rng: random.Random, weights: Mapping[T, float]) -> T:
    return rng.choices(list(weights), list(weights.values()))[0]

"""The prompts of the evaluation, and what each of them promises. Drawn pictures and generated ones are judged alike."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tools.starter_model.captions import FULL, caption
from tools.starter_model.readings import find_thing, read
from tools.starter_model.world import Scene, held_out_scene

ATTRIBUTES = ("time", "thing", "colour", "sun or moon", "snow")


@dataclass(frozen=True, kw_only=True)
class Question:
    """A prompt, the scene it describes, and the noise it starts from."""

    scene: Scene
    prompt: str
    seed: int


def questions(count: int, seed: int = 2024) -> Iterator[Question]:
    """Prompts about a house or a boat in a combination of time, land, kind and colour that training never saw."""
    rng = random.Random(f"evaluation/{seed}")
    for number in range(count):
        scene = _readable(held_out_scene(rng, kinds=("house", "boat")))
        yield Question(scene=scene, prompt=caption(scene, rng, FULL), seed=seed + number)


def judge(scene: Scene, pixels: np.ndarray) -> dict[str, bool]:
    """For every attribute that the prompt names: whether the picture has it."""
    seen = read(pixels)
    first = scene.things[0]
    colour = find_thing(pixels, first.kind, seen.time)
    verdicts = {"time": seen.time == scene.time, "thing": bool(colour), "colour": colour == first.colour}
    if scene.light:
        verdicts["sun or moon"] = seen.light
    verdicts["snow"] = seen.snow == (scene.weather == "snow")
    return verdicts


def _readable(scene: Scene) -> Scene:
    """Balloons hang where the sun and the moon are looked for, so they stay out of the evaluation."""
    kept = scene.things[:1] + tuple(thing for thing in scene.things[1:] if thing.kind != "balloon")
    return replace(scene, things=kept)

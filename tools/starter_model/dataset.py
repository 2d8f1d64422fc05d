"""The training set: scene number `i` of a seed, its picture and its captions. Nothing is stored but a cache."""

import random
from pathlib import Path

import numpy as np

from tools.starter_model.canvas import SIZE
from tools.starter_model.draw import draw
from tools.starter_model.restyle import pencil
from tools.starter_model.world import Scene, training_scene

Pixels = np.ndarray


def scene_at(seed: int, index: int) -> Scene:
    """The `index`-th training scene of a seed. Held-out combinations never appear."""
    return training_scene(random.Random(f"{seed}/{index}"))


def pixels_at(seed: int, index: int, *, sketched: bool = False) -> Pixels:
    """The picture of a scene as height × width × 3 bytes."""
    picture = draw(scene_at(seed, index))
    return np.asarray(pencil(picture) if sketched else picture)


def cached_pictures(path: Path, seed: int, count: int) -> Pixels:
    """The first `count` pictures, every tenth as a pencil sketch, drawn once and kept in a file."""
    if not path.exists():
        partial = path.with_suffix(".partial.npy")
        pictures = np.lib.format.open_memmap(partial, "w+", np.uint8, (count, SIZE, SIZE, 3))
        for index in range(count):
            pictures[index] = pixels_at(seed, index, sketched=index % 10 == 9)
        pictures.flush()
        partial.replace(path)
    drawn: Pixels = np.load(path, mmap_mode="r")
    return drawn

"""What a way to prepare a ControlNet's picture says of itself. Never draws one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files

Nets: TypeAlias = Callable[[str], Any]
"""`nets(kind)`: a network of a kind the engine knows, read from the file that was found for it and kept."""


def _no_files(files: Files) -> Mapping[str, ModelFile]:
    return {}


@dataclass(frozen=True, kw_only=True)
class Preprocessor:
    """A way to prepare a ControlNet's picture.

    `id`: what requests call it, which is the name of ComfyUI's node that draws the same. `draw(image, nets)`: a picture
    (1, 3, H, W), 0 to 1, on the CPU, drawn over, (1, 1 or 3, H, W). `nets`: the kinds of networks it works with.
    `files`: their files; raises BadInput with a sentence that names the missing one and its place. `words`: words in a
    ControlNet's name that tell it wants such pictures; where a name has words of several, the lowest `order` counts.
    """

    id: str
    draw: Callable[[Any, Nets], Any]
    nets: tuple[str, ...] = ()
    files: Callable[[Files], Mapping[str, ModelFile]] = _no_files
    words: tuple[str, ...] = ()
    order: int = 100

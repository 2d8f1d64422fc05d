"""Regions as boxes, by a GLIGEN model: the picture attends to what is said to be where (Li et al. 2023, 2301.07093).

Takes the place of regional prompting (features/regional.py). The boxes count for the negative prompt too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.core import PROMPT
from swarm.features.groups import REGIONAL_PROMPTING_GROUP
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import Dropdown
from swarm.params.param import Option
from swarm.prompt.sections import Region, split_sections

NONE, FOLDER = "None", "gligen"
_SUFFIXES = (".safetensors", ".sft")
GLIGEN_FILE = "gligen"
"""In `Job.files`."""
MOST_BOXES = 30
_FAMILY, _CELL = "stable-diffusion-v1", 8
_IN_EXTRA = "boxes"


def _models(choices: Choices) -> Sequence[Option]:
    names = choices.files(FOLDER, _SUFFIXES)
    return [(NONE, NONE), *((name, name) for name in names)]


GLIGEN_MODEL = Dropdown(
    name="GLIGEN Model",
    description="A GLIGEN model that puts what regions say into their places, for Stable Diffusion 1.",
    default=NONE,
    values=_models,
    ignore_if=NONE,
    group=REGIONAL_PROMPTING_GROUP,
    priority=10.0,
    flags=("comfyui",),
    advanced=True,
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Boxes:
    """Rectangles (left, top, right, bottom in shares of the picture's sides), and a summary (n, width) of each one's
    words."""

    file: ModelFile
    places: tuple[tuple[float, float, float, float], ...]
    words: Any


def boxes_in(told: Conditioning) -> Boxes | None:
    """The boxes of a conditioning."""
    return next((value for name, value in told.extra.items() if name.startswith(_IN_EXTRA)), None)


@need(when=GLIGEN_MODEL)
def gligen_file(input: GenerationInput, _model: ModelFile | None, files: Files) -> Found:
    """The model that is named."""
    name = input.get(GLIGEN_MODEL)
    file = None if name == NONE else files.beside(f"{FOLDER}/{name}")
    if file is None and name != NONE:
        raise BadInput(f"The GLIGEN model '{name}' is no longer in the models folder '{FOLDER}'. Choose another one.")
    return Found(parts={}, files={} if file is None else {GLIGEN_FILE: file})


def replaces_regions(context: StageContext) -> bool:
    """Whether regions are boxes in this walk: not in later walks on a model of another family."""
    return GLIGEN_FILE in context.files and (context.of.name == "base" or context.tools.family == _FAMILY)


@stage(Stage.ENCODE, order=6, when=PROMPT)
def put_into_boxes(context: StageContext) -> None:
    """Both prompts' regions as boxes; those of the prompt for both, where the negative prompt has none."""
    if not replaces_regions(context):
        return
    regions, others = (split_sections(text).regions for text in context.texts)
    if (regions or others) and context.tools.family != _FAMILY:
        raise BadInput(
            f"GLIGEN models are for Stable Diffusion 1, not for {context.tools.architecture.name} models. "
            "Set GLIGEN Model to None."
        )
    boxes = _boxes(context, regions) if regions else None
    against = _boxes(context, others) if others else boxes
    context.positive = [_beside(one, boxes) for one in context.positive]
    context.negative = [_beside(one, against) for one in context.negative]


def _beside(told: Conditioning, boxes: Boxes | None) -> Conditioning:
    # Only rows with the same model can share a call, which the name sees to.
    return told if boxes is None else replace(told, extra={**told.extra, f"{_IN_EXTRA} {boxes.file.path}": boxes})


def _boxes(context: StageContext, regions: Sequence[Region]) -> Boxes:
    import torch

    regions = regions[:MOST_BOXES]
    said = [context.tools.encode_text(region.text).pooled for region in regions]
    places = tuple(_place(region, context.width, context.height) for region in regions)
    return Boxes(file=context.files[GLIGEN_FILE], places=places, words=torch.cat(said))


def _place(region: Region, width: int, height: int) -> tuple[float, float, float, float]:
    """A region's box: its corner and its size each in whole latent cells."""
    cells = width // _CELL, height // _CELL
    left, wide = (int(share * width) // _CELL for share in (region.x, region.width))
    top, high = (int(share * height) // _CELL for share in (region.y, region.height))
    return left / cells[0], top / cells[1], (left + wide) / cells[0], (top + high) / cells[1]

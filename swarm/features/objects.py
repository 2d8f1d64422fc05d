"""`<object:…>`: once the whole picture is there, each object is drawn anew in its rectangle (swarm-t2i 9.12)."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import Any

from swarm.features.core import NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.mask_images import Box, as_pixels, pasted, working_size
from swarm.features.object_params import OBJECT_CLEANUP, OBJECT_MODEL, objects_of
from swarm.features.redraw import from_picture, redrawn, without_controls
from swarm.features.refiner import OUTPUT_INTERMEDIATE_IMAGES, begins_at
from swarm.jobs.acts import Ask, Asking, Making, Sample, act
from swarm.jobs.stage import Pass
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from swarm.prompt.sections import Region, Section, split_sections

MARGIN = 0.05
"""How much of the picture's sides is seen around an object, on each side of it."""


def _object_steps(input: GenerationInput, region: Region) -> int:
    return input.get(STEPS, section=region.cid)


def _planned(input: GenerationInput) -> int:
    taken = [(_object_steps(input, one), one.inpaint_strength) for one in objects_of(input)]
    if taken:
        taken.append((input.get(STEPS), input.get(OBJECT_CLEANUP)))
    return sum(steps - begins_at(steps, share) for steps, share in taken)


def base_of_objects(base: Pass) -> Pass:
    """The base walk of a request with objects has the next seed (the last walk has the request's own)."""
    return replace(base, seed=base.seed + 1) if objects_of(base.input) else base


@act(order=5, when=PROMPT, steps=_planned, prepare=base_of_objects)
def draw_objects(making: Making) -> Asking:
    """Each object, in the order of the prompt, then the whole once more if that is asked."""
    input = making.job.input
    objects = objects_of(input)
    if not objects:
        return
    shown = input.get(OUTPUT_INTERMEDIATE_IMAGES)
    image = yield from making.as_image()
    for number, region in enumerate(objects):
        if shown:
            making.extras.append(as_pixels(image))
        if region.inpaint_strength > 0:
            image = yield from _drawn(making, image, region, number)
    making.image = image
    if (share := input.get(OBJECT_CLEANUP)) > 0:
        if shown:
            making.extras.append(as_pixels(image))
        yield from _clean_up(making, image, share)


def _drawn(making: Making, image: Any, region: Region, number: int) -> Generator[Ask, Any, Any]:
    import torch

    own, seen = boxes(region, image.shape[-1], image.shape[-2])
    mask = torch.zeros(1, 1, *image.shape[-2:])
    own.of(mask).fill_(1.0)
    if float(mask.amax()) == 0:
        return image
    of = object_pass(making, region, number)
    standard = making.job.files.get(OBJECT_MODEL.id)
    wanted = image.shape[-1], image.shape[-2]
    if standard is not None and standard.width and standard.height:
        wanted = standard.width, standard.height
    marked = seen.of(mask)
    made = yield from redrawn(of, image, marked, seen, working_size(seen, *wanted), region.inpaint_strength)
    return pasted(image, made, seen, marked, soft=True)


def boxes(region: Region, width: int, height: int) -> tuple[Box, Box]:
    """An object's rectangle in pixels, and what is seen while it is drawn."""
    left, top = round(region.x * width), round(region.y * height)
    right, bottom = round((region.x + region.width) * width), round((region.y + region.height) * height)
    wide, high = round(width * MARGIN), round(height * MARGIN)
    x, y = max(0, left - wide), max(0, top - high)
    seen = Box(x, y, min(width, right + wide) - x, min(height, bottom + high) - y)
    return Box(left, top, right - left, bottom - top), seen


def object_pass(making: Making, region: Region, number: int) -> Pass:
    """The walk that draws an object, but for its picture and size."""
    job, base = making.job, making.base
    model = job.files.get(OBJECT_MODEL.id) or base.model
    parts = base.parts if model is base.model else {}
    asked = without_controls(job.input).within(region.cid)
    asked = asked.having(STEPS, _object_steps(job.input, region)).having(PROMPT, region.text)
    negative = split_sections(job.input.get(NEGATIVE_PROMPT)).for_base()
    return Pass(
        input=asked.having(NEGATIVE_PROMPT, negative),
        model=model,
        seed=base.seed + 1 + number,
        loras=tuple(use for use in job.loras if use.section in (Section.EVERYWHERE, Section.GLOBAL, region.cid)),
        parts=parts,
        files=job.files,
        batch=base.batch,
        name="object",
    )


def _clean_up(making: Making, image: Any, share: float) -> Asking:
    """The whole picture walked over once more, from what it has become."""
    of = replace(making.base, seed=making.job.seeds[making.index], name="cleanup")
    of = of.with_input(from_picture(without_controls(of.input), image, share))
    answer = yield Sample(of=of)
    assert not isinstance(answer, Pixels), "no share of steps is answered by the picture itself"
    making.base, making.latent, making.image = of, answer, None

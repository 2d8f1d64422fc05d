"""`<segment:…>` and `<clear:…>`: what is found in the finished picture is drawn anew, or made transparent
(swarm-t2i 9.13)."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from swarm.features.core import CFG_SCALE, NEGATIVE_PROMPT, PROMPT, STEPS
from swarm.features.found_areas import files_for, found_area
from swarm.features.inpaint import COLOR_CORRECTION, MASK_COMPOSITE_UNTHRESHOLDED
from swarm.features.mask_images import (
    SMALLEST_MARK,
    as_pixels,
    blurred,
    bounds,
    dilated,
    pasted,
    spread,
    working_size,
)
from swarm.features.redraw import redrawn
from swarm.features.refiner import (
    OUTPUT_INTERMEDIATE_IMAGES,
    REFINER_CFG_SCALE,
    REFINER_METHOD,
    REFINER_STEPS,
    begins_at,
)
from swarm.features.segment_params import (
    SAVE_SEGMENT_MASK,
    SEGMENT_APPLY_AFTER,
    SEGMENT_CFG_SCALE,
    SEGMENT_MASK_BLUR,
    SEGMENT_MASK_GROW,
    SEGMENT_MASK_OVERSIZE,
    SEGMENT_MODEL,
    SEGMENT_SORT_ORDER,
    SEGMENT_STEPS,
    SEGMENT_THRESHOLD_MAX,
    target_resolution,
)
from swarm.jobs.acts import Ask, Asking, Making, Work, WorkTools, act
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from swarm.prompt.sections import PromptParts, Section, Segment, split_sections

SEED_OFFSET = 2
CLEAR_BLUR = 10
CLEAR_FROM, CLEAR_TO = 0.2, 0.6
"""What of a cleared area's mask begins to be transparent, and what is so altogether."""


def _parts(input: GenerationInput) -> PromptParts:
    return split_sections(input.get(PROMPT))


@need(when=PROMPT)
def finders(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """What finds the areas that the prompt names."""
    parts = _parts(input)
    found: dict[str, ModelFile] = {}
    for segment in (*parts.segments, *parts.clears):
        for matcher in segment.matchers:
            found |= files_for(matcher, files)
    return Found(parts={}, files=found)


def segment_steps(input: GenerationInput, segment: Segment) -> int:
    """The number of steps that a segment takes its share of."""
    own = input.given_within(STEPS, segment.cid)
    return own or input.given(SEGMENT_STEPS) or input.given(REFINER_STEPS) or input.get(STEPS)


def _planned_after_base(input: GenerationInput) -> int:
    return _planned(input) if _is_after_base(input) else 0


def _planned_after_refining(input: GenerationInput) -> int:
    return 0 if _is_after_base(input) else _planned(input)


def _planned(input: GenerationInput) -> int:
    taken = ((segment_steps(input, one), one.creativity) for one in _parts(input).segments)
    return sum(steps - begins_at(steps, creativity) for steps, creativity in taken)


def _is_after_base(input: GenerationInput) -> bool:
    """Noise that is left for the refine stage must not be drawn on."""
    return input.get(SEGMENT_APPLY_AFTER) == "Base" and input.given(REFINER_METHOD) != "StepSwapNoisy"


@act(order=8, when=PROMPT, steps=_planned_after_base)
def segments_after_base(making: Making) -> Asking:
    if _is_after_base(making.job.input):
        yield from _draw_segments(making)


@act(order=30, when=PROMPT, steps=_planned_after_refining)
def segments_after_refining(making: Making) -> Asking:
    if not _is_after_base(making.job.input):
        yield from _draw_segments(making)


def _draw_segments(making: Making) -> Asking:
    """Each found area, in the order of the prompt, on the picture as the one before has left it."""
    input = making.job.input
    segments = _parts(input).segments
    if not segments:
        return
    image = yield from making.as_image()
    if input.get(OUTPUT_INTERMEDIATE_IMAGES):
        making.extras.append(as_pixels(image))
    for number, segment in enumerate(segments):
        mask = yield from _found(making, image, segment)
        mask = _marked(mask, input, inverted=segment.is_inverted)
        if input.get(SAVE_SEGMENT_MASK):
            making.extras.append(as_pixels(mask))
        mask = spread(mask, SMALLEST_MARK, input.get(SEGMENT_THRESHOLD_MAX))
        if segment.creativity > 0 and float(mask.amax()) > 0:
            image = yield from _drawn_anew(making, image, mask, segment, number)
    making.image = image


def _found(making: Making, image: Any, segment: Segment) -> Generator[Ask, Any, Any]:
    files, order = making.job.files, making.job.input.get(SEGMENT_SORT_ORDER)

    def run(tools: WorkTools) -> Any:
        return found_area(tools, image[:, :3], segment, files, order)

    return (yield Work(name="find", run=run))


def _marked(mask: Any, input: GenerationInput, *, inverted: bool) -> Any:
    """A found area as it is to be drawn: turned round, softened, widened."""
    mask = 1.0 - mask if inverted else mask
    return dilated(blurred(mask, input.get(SEGMENT_MASK_BLUR)), input.get(SEGMENT_MASK_GROW))


def _drawn_anew(making: Making, image: Any, mask: Any, segment: Segment, number: int) -> Generator[Ask, Any, Any]:
    input = making.job.input
    target = target_resolution(input)
    box = bounds(mask, input.get(SEGMENT_MASK_OVERSIZE), target and target[0] / target[1])
    of = segment_pass(making, segment, number)
    wanted = target or (of.model.width or image.shape[-1], of.model.height or image.shape[-2])
    marked = box.of(mask)
    made = yield from redrawn(of, image, marked, box, working_size(box, *wanted), segment.creativity)
    soft, correction = input.get(MASK_COMPOSITE_UNTHRESHOLDED), input.get(COLOR_CORRECTION)
    return pasted(image, made, box, marked, soft=soft, correction=correction)


def segment_pass(making: Making, segment: Segment, number: int) -> Pass:
    """The walk that draws a segment, but for its picture and size."""
    job, before = making.job, making.base
    model = job.files.get(SEGMENT_MODEL.id) or before.model
    parts = dict(before.parts) if model.latent_space == before.model.latent_space else {}
    if model is not before.model:
        parts = {slot: part for slot, part in parts.items() if slot == "vae"}
    return Pass(
        input=segment_input(job.input, segment),
        model=model,
        seed=job.seeds[making.index] + SEED_OFFSET + number,
        loras=tuple(use for use in job.loras if use.section in (Section.EVERYWHERE, Section.GLOBAL, segment.cid)),
        parts=parts,
        files=job.files,
        variation_seed=before.variation_seed,
        batch=before.batch,
        name="segment",
    )


def segment_input(input: GenerationInput, segment: Segment) -> GenerationInput:
    """The request as a segment reads it: its own section, then the parameters of segments, refining, everything."""
    cfg = input.given_within(CFG_SCALE, segment.cid)
    for param in (SEGMENT_CFG_SCALE, REFINER_CFG_SCALE, CFG_SCALE):
        cfg = input.given(param) if cfg is None else cfg
    asked = input.within(segment.cid).having(STEPS, segment_steps(input, segment))
    asked = asked if cfg is None else asked.having(CFG_SCALE, cfg)
    negative = split_sections(input.get(NEGATIVE_PROMPT)).against(segment)
    return asked.having(PROMPT, _parts(input).for_segment(segment)).having(NEGATIVE_PROMPT, negative)


@act(order=35, when=PROMPT)
def clear_areas(making: Making) -> Asking:
    """Found areas made transparent."""
    clears = _parts(making.job.input).clears
    if not clears:
        return
    image = yield from making.as_image()
    for segment in clears:
        mask = yield from _found(making, image, segment)
        mask = 1.0 - mask if segment.is_inverted else mask
        making.image = transparent(making.image, spread(blurred(mask, CLEAR_BLUR), CLEAR_FROM, CLEAR_TO))


def transparent(image: Any, mask: Any) -> Any:
    """An image (1, 3 or 4, H, W) whose marked part is gone."""
    import torch

    alpha = 1.0 - mask.to(image)
    if image.shape[1] == 4:
        alpha = alpha * image[:, 3:]
    return torch.cat([image[:, :3], alpha], dim=1)

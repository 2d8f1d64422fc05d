"""Drawing a part of a finished picture anew: cut out, scaled to what the model likes, inpainted, put back."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from swarm.features.init_image import (
    INIT_IMAGE,
    INIT_IMAGE_CREATIVITY,
    INIT_IMAGE_NOISE,
    INIT_IMAGE_RESET_TO_NORM,
)
from swarm.features.mask import MASK_BLUR, MASK_GROW, MASK_IMAGE
from swarm.features.mask_images import Box, as_picture, at_size, resized
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import END_STEPS_EARLY
from swarm.jobs.acts import Ask, Decode, Sample
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput

_CONTROLS = "controlnet"
_TOLD_OF_THE_WHOLE = "stable-diffusion-xl-v1-base"


def redrawn(
    of: Pass, image: Any, mask: Any, box: Box, size: tuple[int, int], creativity: float
) -> Generator[Ask, Any, Any]:
    """What `box` of an image looks like after a walk at `size`, at the box's own. `mask`: of the box's size, 1 where to
    draw.

    `of`: model, words, steps, seed of the walk. `creativity`: above 0 to 1, the share of its steps that run.
    """
    width, height = size
    begin = at_size(box.of(image[:, :3]), width, height)
    asked = from_picture(of.input, begin, creativity).having(WIDTH, width).having(HEIGHT, height)
    of = replace(of.with_input(asked.having(MASK_IMAGE, as_picture(mask))), told=told_as(of.model, of.input))
    answer = yield Sample(of=of)
    assert not isinstance(answer, Pixels), "a masked walk is answered by a latent"
    made = yield Decode(latent=answer, of=of)
    return resized(made, box.width, box.height)


def from_picture(input: GenerationInput, image: Any, creativity: float) -> GenerationInput:
    """The request as a walk reads it that begins with an image instead of what the request began with."""
    plain = input.without(
        INIT_IMAGE_NOISE,
        INIT_IMAGE_RESET_TO_NORM,
        MASK_IMAGE,
        MASK_BLUR,
        MASK_GROW,
        END_STEPS_EARLY,
    )
    return plain.having(INIT_IMAGE, as_picture(image)).having(INIT_IMAGE_CREATIVITY, creativity)


def told_as(model: ModelFile, input: GenerationInput) -> tuple[int, int] | None:
    """What a model is told of the size of a part, or of a picture on its way: SDXL hears of the whole result."""
    return (input.get(WIDTH), input.get(HEIGHT)) if model.family == _TOLD_OF_THE_WHOLE else None


def without_controls(input: GenerationInput) -> GenerationInput:
    """The request without what shapes the whole picture by another one."""
    kept = {id: value for id, value in input.values.items() if not id.startswith(_CONTROLS)}
    return replace(input, values=MappingProxyType(kept))

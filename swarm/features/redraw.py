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
from swarm.features.mask_images import Box, as_picture, resized
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.features.sampling import END_STEPS_EARLY
from swarm.features.variation import VARIATION_SEED_STRENGTH
from swarm.jobs.acts import Ask, Decode, Sample
from swarm.jobs.stage import Pass
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput

_CONTROLS = "controlnet"


def redrawn(
    of: Pass, image: Any, mask: Any, box: Box, size: tuple[int, int], creativity: float
) -> Generator[Ask, Any, Any]:
    """What `box` of an image looks like after the walk, at `size`. `mask`: the picture's size, 1 where to draw.

    `of`: model, words, steps, seed of the walk. `creativity`: above 0 to 1, the share of its steps that run.
    """
    width, height = size
    asked = from_picture(of.input, box_at(image, box, size), creativity).having(WIDTH, width).having(HEIGHT, height)
    asked = asked.having(MASK_IMAGE, as_picture(resized(box.of(mask), width, height)))
    answer = yield Sample(of=of.with_input(asked))
    assert not isinstance(answer, Pixels), "no share of steps is answered by the picture itself"
    return (yield Decode(latent=answer, of=of))


def box_at(image: Any, box: Box, size: tuple[int, int]) -> Any:
    """The colours of a box at a size."""
    return resized(box.of(image[:, :3]), *size)


def from_picture(input: GenerationInput, image: Any, creativity: float) -> GenerationInput:
    """The request as a walk reads it that begins with an image instead of what the request began with."""
    plain = input.without(
        INIT_IMAGE_NOISE,
        INIT_IMAGE_RESET_TO_NORM,
        MASK_IMAGE,
        MASK_BLUR,
        MASK_GROW,
        END_STEPS_EARLY,
        VARIATION_SEED_STRENGTH,
    )
    return plain.having(INIT_IMAGE, as_picture(image)).having(INIT_IMAGE_CREATIVITY, creativity)


def without_controls(input: GenerationInput) -> GenerationInput:
    """The request without what shapes the whole picture by another one."""
    kept = {id: value for id, value in input.values.items() if not id.startswith(_CONTROLS)}
    return replace(input, values=MappingProxyType(kept))

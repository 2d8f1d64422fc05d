"""Pictures that come with the prompt; models that edit look at them while they draw (swarm-t2i 9.10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import isqrt
from typing import Any

import numpy as np
from PIL import Image

from swarm.architectures.architecture import Architecture
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.init_image import INIT_IMAGE
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.media.image import Picture
from swarm.media.stretched import opened
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean
from swarm.params.media_kinds import MediaList

PROMPT_IMAGES = MediaList(
    name="Prompt Images",
    description="Pictures that belong to the prompt: models that edit take them as what to look at.",
    ignore_if="",
    visible=False,
    advanced=True,
    priority=-95.0,
)
SMART_IMAGE_PROMPT_RESIZING = Boolean(
    name="Smart Image Prompt Resizing",
    description="Brings the prompt's pictures to a size the model likes. Off, they are only scaled when they differ "
    "much from the size of the result.",
    default=True,
    ignore_if="true",
    group=IMAGE_PROMPTING_GROUP,
    priority=10.0,
    advanced=True,
)
REFERENCES = "references"
"""In `Conditioning.extra`: clean latents of the pictures the model shall look at, (1, C, h, w) each."""
_NEAR, _NEAR_RESULT = 64, 32
"""Sides, of squares with as many pixels, may differ by so much from what is liked; and where the result is what counts.
"""
_MOST = 2048
"""The side of a square with as many pixels as any reference picture may have."""
_STEP = 64
"""Sides of pictures that are scaled are multiples of it."""


@stage(Stage.ENCODE, order=80, when=PROMPT_IMAGES)
def show_prompt_images(context: StageContext) -> None:
    """The prompt's pictures, for models that edit."""
    _show(context, context.input.get(PROMPT_IMAGES))


@stage(Stage.ENCODE, order=81, when=INIT_IMAGE)
def show_init_image(context: StageContext) -> None:
    """The init image as it is drawn over, where the prompt has no pictures and the family looks at it then."""
    picture = context.input.given(INIT_IMAGE)
    if picture is not None and context.tools.architecture.looks_at_init and not context.input.get(PROMPT_IMAGES):
        image = context.tools.image(picture, width=context.width, height=context.height)
        _told(context, lambda: (context.tools.encode_tensor(image),))


def pictures_to_see(input: GenerationInput) -> tuple[Picture, ...]:
    """The prompt's pictures; the init image where there are none."""
    init = input.given(INIT_IMAGE)
    return input.get(PROMPT_IMAGES) or (() if init is None else (init,))


def _show(context: StageContext, pictures: tuple[Picture, ...]) -> None:
    family = context.tools.architecture
    if family.takes_references:
        smart, result = context.input.get(SMART_IMAGE_PROMPT_RESIZING), (context.width, context.height)
        _told(
            context,
            lambda: tuple(context.tools.encode_tensor(_image(one, family, result, smart=smart)) for one in pictures),
        )


def _told(context: StageContext, seen: Callable[[], tuple[Any, ...]]) -> None:
    """Have the prompts come with what is seen, which is worked out once a walk."""
    latents = context.memory.get(REFERENCES)
    if latents is None:
        latents = context.memory[REFERENCES] = seen()
    context.positive = [replace(one, extra={**one.extra, REFERENCES: latents}) for one in context.positive]
    if context.tools.architecture.negative_references:
        context.negative = [replace(one, extra={**one.extra, REFERENCES: latents}) for one in context.negative]


def _image(picture: Picture, family: Architecture, result: tuple[int, int], *, smart: bool) -> Any:
    """A picture as (1, 3, H, W), 0 to 1, at the size it is looked at, without what is left over of latent cells."""
    import torch

    image = opened(picture)
    size = reference_size(image.size, result, family, smart=smart)
    if size != image.size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    cell = family.latent.downscale if family.latent is not None else 1
    left, top = image.width % cell // 2, image.height % cell // 2
    inner = image.crop((left, top, left + image.width // cell * cell, top + image.height // cell * cell))
    return torch.from_numpy(np.array(inner, dtype=np.float32) / 255.0).permute(2, 0, 1)[None]


def reference_size(
    size: tuple[int, int], result: tuple[int, int], family: Architecture, *, smart: bool
) -> tuple[int, int]:
    """The size that a picture of `size` is looked at with for a `result` of another: its own unless that is far from
    what the family likes, or, not `smart`, from the result."""
    own = isqrt(size[0] * size[1])
    liked = _liked(own, isqrt(result[0] * result[1]), family, smart=smart)
    if liked is None and own <= _MOST:
        return size
    factor = (min(liked or _MOST, _MOST) ** 2 / (size[0] * size[1])) ** 0.5
    width, height = (max(_STEP, round(side * factor / _STEP) * _STEP) for side in size)
    return width, height


def _liked(own: int, result: int, family: Architecture, *, smart: bool) -> int | None:
    """The side of a square with as many pixels as a reference picture shall have; None for those it comes with."""
    liked = isqrt(family.reference_pixels)
    if not smart:
        return None if abs(own - result) <= _NEAR else result
    if liked and family.references_follow_result:
        if result < liked:
            return None if abs(own - result) <= _NEAR_RESULT else result
        return liked if own < liked else None
    return None if not liked or abs(own - liked) <= _NEAR else liked

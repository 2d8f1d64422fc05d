"""Pictures that come with the prompt; models that edit look at them while they draw (swarm-t2i 9.10)."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from swarm.architectures.architecture import Architecture
from swarm.features.groups import IMAGE_PROMPTING_GROUP
from swarm.features.init_image import INIT_IMAGE
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.media.image import Picture
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
_GRID = 16
_NEAR = 64
"""Pictures whose sides differ by no more pixels than this from the result's are left as they are."""


@stage(Stage.ENCODE, order=80, when=PROMPT_IMAGES)
def show_prompt_images(context: StageContext) -> None:
    """The prompt's pictures, for models that edit."""
    _show(context, context.input.get(PROMPT_IMAGES))


@stage(Stage.ENCODE, order=81, when=INIT_IMAGE)
def show_init_image(context: StageContext) -> None:
    """The init image, where the prompt has no pictures and the family looks at it then."""
    picture = context.input.given(INIT_IMAGE)
    if picture is not None and context.tools.architecture.looks_at_init and not context.input.get(PROMPT_IMAGES):
        _show(context, (picture,))


def pictures_to_see(input: GenerationInput) -> tuple[Picture, ...]:
    """The prompt's pictures; the init image where there are none."""
    init = input.given(INIT_IMAGE)
    return input.get(PROMPT_IMAGES) or (() if init is None else (init,))


def _show(context: StageContext, pictures: tuple[Picture, ...]) -> None:
    family = context.tools.architecture
    if not family.takes_references:
        return
    latents = context.memory.get(REFERENCES)
    if latents is None:
        smart = context.input.get(SMART_IMAGE_PROMPT_RESIZING)
        images = [_image(picture, family, context, smart=smart) for picture in pictures]
        latents = context.memory[REFERENCES] = tuple(context.tools.encode_tensor(image) for image in images)
    context.positive = [replace(one, extra={**one.extra, REFERENCES: latents}) for one in context.positive]
    context.negative = [replace(one, extra={**one.extra, REFERENCES: latents}) for one in context.negative]


def _image(picture: Picture, family: Architecture, context: StageContext, *, smart: bool) -> Any:
    """A picture as (1, 3, H, W), 0 to 1, cut to the shape of the size it gets and scaled to it."""
    import torch

    with Image.open(io.BytesIO(picture.data)) as opened:
        image = opened.convert("RGB")
    size = preferred(image.size, family) if smart else _near(image.size, (context.width, context.height))
    fitted = ImageOps.fit(image, size, Image.Resampling.LANCZOS)
    return torch.from_numpy(np.array(fitted, dtype=np.float32) / 255.0).permute(2, 0, 1)[None]


def preferred(size: tuple[int, int], family: Architecture) -> tuple[int, int]:
    """The size a model likes for a reference picture of `size`: of the shapes it was trained on the nearest, else its
    own number of pixels in the picture's shape."""
    width, height = size
    if family.reference_sizes:
        return min(family.reference_sizes, key=lambda known: abs(known[0] / known[1] - width / height))
    area = family.reference_pixels or family.standard_width * family.standard_height
    factor = (area / (width * height)) ** 0.5
    return _on_grid(width * factor), _on_grid(height * factor)


def _near(size: tuple[int, int], wanted: tuple[int, int]) -> tuple[int, int]:
    far = any(abs(own - other) > _NEAR for own, other in zip(size, wanted, strict=True))
    width, height = wanted if far else size
    return _on_grid(width), _on_grid(height)


def _on_grid(side: float) -> int:
    return max(_GRID, round(side / _GRID) * _GRID)

"""Which part of the init image is meant: the mask, and how it is widened and softened (swarm-t2i 9.7)."""

from __future__ import annotations

from typing import Any

import numpy as np

from swarm.features.groups import ADVANCED_SAMPLING_GROUP, INIT_IMAGE_GROUP
from swarm.features.mask_images import as_picture, blurred, grown
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.stage import StageContext
from swarm.media.image import Drawn, Picture
from swarm.media.stretched import opened
from swarm.params.input import GenerationInput
from swarm.params.kinds import Dropdown, Integer, fixed
from swarm.params.media_kinds import Media

MASK_IMAGE = Media(
    name="Mask Image",
    description="What of the init image to make anew: white is made anew, black is kept, gray lies between.",
    group=INIT_IMAGE_GROUP,
    priority=-4.0,
)
MASK_BLUR = Integer(
    name="Mask Blur",
    description="How far the edge of the mask is softened, in pixels.",
    default=4,
    max=64,
    ignore_if="0",
    examples=("0", "4", "8", "16"),
    group=INIT_IMAGE_GROUP,
    priority=-3.6,
    depends_on="maskimage",
)
MASK_GROW = Integer(
    name="Mask Grow",
    description="How far the marked area is widened, in pixels.",
    default=0,
    max=256,
    ignore_if="0",
    examples=("0", "4", "8", "16"),
    group=INIT_IMAGE_GROUP,
    priority=-3.5,
    advanced=True,
    depends_on="maskimage",
)

MASK_BEHAVIOR = Dropdown(
    name="Mask Behavior",
    description="Differential lets gray areas join in later, the darker the later; Simple Latent blends them evenly.",
    default="Differential",
    values=fixed("Differential", "Simple Latent"),
    group=ADVANCED_SAMPLING_GROUP,
    priority=-3.5,
    advanced=True,
    toggleable=True,
)


def mask_of(context: StageContext) -> Any:
    """The request's mask (1, 1, h, w), grown and blurred as asked; None without a mask. One that was cut out of another
    keeps the size of its cut."""
    picture = context.input.given(MASK_IMAGE)
    if picture is None:
        return None
    if "mask" not in context.memory:
        raw = context.tools.image(picture, width=context.width, height=context.height)[:, :1]
        context.memory["mask"] = prepared(raw, context.input)
    return context.memory["mask"]


def levels_of(picture: Picture, width: int, height: int) -> Any:
    """A picture of a request as (1, 3, H, W), 0 to 1, stretched to a size; what is Drawn as it is."""
    import torch

    if isinstance(picture, Drawn):
        return picture.image
    levels = torch.from_numpy(np.array(opened(picture, width, height), dtype=np.float32) / 255.0)
    return levels.permute(2, 0, 1)[None]


def going_on(input: GenerationInput, before: GenerationInput) -> GenerationInput:
    """A request that begins with the latent a masked one ended with: the same mask, of which gray parts are blended."""
    picture = before.given(MASK_IMAGE)
    if picture is None:
        return input
    mask = prepared(levels_of(picture, before.get(WIDTH), before.get(HEIGHT))[:, :1], before)
    plain = input.without(MASK_GROW, MASK_BLUR)
    return plain.having(MASK_IMAGE, as_picture(mask)).having(MASK_BEHAVIOR, "Simple Latent")


def prepared(mask: Any, input: GenerationInput) -> Any:
    """A mask grown and blurred as the request asks; blurred only where it says so."""
    return blurred(grown(mask, input.get(MASK_GROW)), input.given(MASK_BLUR) or 0)

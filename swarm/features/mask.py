"""Which part of the init image is meant: the mask, and how it is widened and softened (swarm-t2i 9.7)."""

from __future__ import annotations

from typing import Any

from swarm.features.groups import INIT_IMAGE_GROUP
from swarm.features.mask_images import blurred, grown
from swarm.jobs.stage import StageContext
from swarm.params.input import GenerationInput
from swarm.params.kinds import Integer
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


def mask_of(context: StageContext) -> Any:
    """The request's mask (1, 1, H, W), grown and blurred as asked; None without a mask."""
    picture = context.input.given(MASK_IMAGE)
    if picture is None:
        return None
    if "mask" not in context.memory:
        raw = context.tools.image(picture, width=context.width, height=context.height)[:, :1]
        context.memory["mask"] = prepared(raw, context.input)
    return context.memory["mask"]


def prepared(mask: Any, input: GenerationInput) -> Any:
    """A mask grown and blurred as the request asks; blurred only where it says so."""
    return blurred(grown(mask, input.get(MASK_GROW)), input.given(MASK_BLUR) or 0)

"""The regions of a prompt, to be looked at (swarm-t2i 9.11)."""

from __future__ import annotations

from typing import Any

from swarm.features.core import PROMPT
from swarm.features.groups import REGIONAL_PROMPTING_GROUP
from swarm.features.regional import region_masks
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.acts import Asking, Making, act
from swarm.media.image import Pixels
from swarm.params.kinds import Boolean
from swarm.prompt.sections import split_sections

DEBUG_REGIONAL_PROMPTING = Boolean(
    name="Debug Regional Prompting",
    description="Hands out where the prompt's regions lie, and what is left of the picture, as images beside it.",
    ignore_if="false",
    visible=False,
    group=REGIONAL_PROMPTING_GROUP,
    flags=("comfyui",),
    priority=10.0,
)


@act(order=1, when=DEBUG_REGIONAL_PROMPTING)
def hand_out_regions(making: Making) -> Asking:
    """Each region's mask, and what is left for the background, white where it counts."""
    input = making.job.input
    regions = split_sections(input.get(PROMPT)).regions
    if not regions or not input.get(DEBUG_REGIONAL_PROMPTING):
        return
    masks = region_masks(regions)
    background = (1.0 - sum(masks[1:], masks[0])).clamp(0, 1)
    size = making.base.input.get(WIDTH), making.base.input.get(HEIGHT)
    making.extras.extend(_shown(mask, *size) for mask in (*masks, background))
    yield from ()


def _shown(mask: Any, width: int, height: int) -> Pixels:
    """A mask (1, 1, h, w), 0 to 1, in grays."""
    from torch.nn.functional import interpolate

    levels = (interpolate(mask, size=(height, width), mode="nearest") * 255.0).round().byte()
    data = levels[0].expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy().tobytes()
    return Pixels(width=width, height=height, mode="RGB", data=data)

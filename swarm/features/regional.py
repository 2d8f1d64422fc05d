"""Prompts for parts of the picture (swarm-t2i 9.11): a rectangle hears its own words, everything the global ones.

Objects count as regions while the base picture is made (9.12).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from swarm.features.core import PROMPT
from swarm.features.gligen import replaces_regions
from swarm.features.groups import REGIONAL_PROMPTING_GROUP
from swarm.jobs.job import LoraUse
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.kinds import Decimal
from swarm.prompt.sections import PromptParts, Region, split_sections

GLOBAL_REGION_FACTOR = Decimal(
    name="Global Region Factor",
    description="How much the global prompt has to say within regions: 0 nothing, 1 everything.",
    default=0.5,
    min=0,
    max=1,
    step=0.05,
    ignore_if="0.5",
    group=REGIONAL_PROMPTING_GROUP,
    priority=-5.0,
    view_type="slider",
    toggleable=True,
)

GRID = 256
"""Regions are drawn on a grid of this many cells a side, whatever the picture's shape."""


@stage(Stage.ENCODE, order=5, when=PROMPT)
def hear_regions(context: StageContext) -> None:
    """Both prompts as several conditionings, where they have regions."""
    if replaces_regions(context):
        return
    positive, negative = (split_sections(text) for text in context.texts)
    if positive.regions:
        context.positive = _mixed(context, context.positive[0], positive)
    if negative.regions and context.negative:
        context.negative = _mixed(context, context.negative[0], negative)


def _mixed(context: StageContext, whole: Conditioning, parts: PromptParts) -> list[Conditioning]:
    factor = context.input.get(GLOBAL_REGION_FACTOR)
    size = context.latent.shape[-2:]
    masks = region_masks(parts.regions)
    background = (1.0 - sum(masks[1:], masks[0])).clamp(0, 1)
    outside = whole
    if parts.background or parts.base:
        # What `<base>` adds is for the whole picture only.
        outside = context.tools.encode_text(parts.for_background(), _loras(context, parts.background_cid))
    told = [replace(whole, weight=_sized(background * 0 + factor, size))]
    told.append(replace(outside, weight=_sized(background * (1.0 - factor), size)))
    for region, mask in zip(parts.regions, masks, strict=True):
        words = context.tools.encode_text(region.text, _loras(context, region.cid))
        told.append(replace(words, weight=_sized(mask * (1.0 - factor), size)))
    return [one for one in told if float(one.weight.max()) > 0]


def _loras(context: StageContext, section: int) -> tuple[LoraUse, ...]:
    """The LoRAs that a region's words brought."""
    return tuple(use for use in context.of.confined if use.section == section)


def region_masks(regions: Sequence[Region]) -> list[Any]:
    """One mask (1, 1, GRID, GRID) a region; where together they come to more than 1, each gets its share of it."""
    import torch

    masks = [_mask(region) for region in regions]
    total = sum(masks[1:], masks[0])
    return [torch.where(total > 1, mask / total.clamp(min=1e-6), mask) for mask in masks]


def _mask(region: Region) -> Any:
    import torch

    left, top = int(region.x * GRID), int(region.y * GRID)
    right, bottom = int((region.x + region.width) * GRID), int((region.y + region.height) * GRID)
    mask = torch.zeros(1, 1, GRID, GRID)
    mask[..., top:bottom, left:right] = abs(region.strength)
    return 1.0 - mask if region.strength < 0 else mask


def _sized(mask: Any, size: Any) -> Any:
    from torch.nn.functional import interpolate

    return interpolate(mask, size=tuple(size), mode="bilinear")

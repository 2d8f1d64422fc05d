"""What the model is told: both prompts, with regions, embedded guidance and zeroed negatives."""

from __future__ import annotations

import re

from swarm.backends.comfy.building import Building, ComfyStep, need
from swarm.backends.comfy.graph import Link
from swarm.base.errors import BackendError
from swarm.features.conditioning import ZERO_NEGATIVE
from swarm.features.core import NEGATIVE_PROMPT, PROMPT
from swarm.features.flux_guidance import FLUX_GUIDANCE_SCALE
from swarm.features.regional import GLOBAL_REGION_FACTOR
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.prompt.sections import PromptParts, Region, split_sections

_EMBED = re.compile(r"<embed(?:ding)?:([^>]+)>")
_NOT_HERE = re.compile(r"<break>|\[[^\]|]*\|")


def tell(building: Building) -> None:
    """Both prompts of the base walk. Raises BackendError for parts that ComfyUI's own nodes cannot draw."""
    assert building.base is not None, "the steps are out of order"
    positive, negative = split_sections(building.get(PROMPT)), split_sections(building.get(NEGATIVE_PROMPT))
    refuse_unknown(positive)
    clip = building.base.clip
    building.positive = _guided(building, _mixed(building, clip, positive))
    building.negative = _mixed(building, clip, negative)
    if building.get(ZERO_NEGATIVE) and not building.get(NEGATIVE_PROMPT).strip():
        building.negative = building.add("ConditioningZeroOut", conditioning=building.negative)


def refuse_unknown(parts: PromptParts) -> None:
    """Raises BackendError for a prompt whose parts become more than one walk there."""
    for found, word in (
        (parts.segments, "segments"),
        (parts.clears, "cleared areas"),
        (parts.extends, "extensions"),
        ([region for region in parts.regions if region.is_object], "objects"),
    ):
        if found:
            raise BackendError(f"This backend cannot draw {word} of a prompt. Use one that runs models itself.")


def encoded(building: Building, clip: Link, text: str) -> Link:
    """A prompt's text, embeddings spelled as ComfyUI does."""
    if _NOT_HERE.search(text):
        raise BackendError("This backend cannot break or alternate prompts. Use one that runs models itself.")
    spelled = _EMBED.sub(lambda found: f"embedding:{found[1].removesuffix('.safetensors')}", text)
    return building.add("CLIPTextEncode", clip=clip, text=spelled)


def guided(building: Building, told: Link) -> Link:
    """With the number for guidance-distilled models, if one is asked."""
    scale = building.given(FLUX_GUIDANCE_SCALE)
    return told if scale is None else building.add("FluxGuidance", conditioning=told, guidance=scale)


_guided = guided


def _mixed(building: Building, clip: Link, parts: PromptParts) -> Link:
    whole = encoded(building, clip, parts.for_base())
    if not parts.regions:
        return whole
    factor = building.get(GLOBAL_REGION_FACTOR)
    masks = [_mask(building, region) for region in parts.regions]
    rest = _solid(building, 1.0)
    for mask in masks:
        rest = building.add("MaskComposite", destination=rest, source=mask, x=0, y=0, operation="subtract")
    outside = encoded(building, clip, parts.background) if parts.background else whole
    told = _within(building, whole, _solid(building, 1.0), factor)
    told = _with(building, told, _within(building, outside, rest, 1.0 - factor))
    for region, mask in zip(parts.regions, masks, strict=True):
        words = encoded(building, clip, region.text)
        told = _with(building, told, _within(building, words, mask, 1.0 - factor))
    return told


def _solid(building: Building, value: float) -> Link:
    return building.add("SolidMask", value=value, width=building.get(WIDTH), height=building.get(HEIGHT))


def _mask(building: Building, region: Region) -> Link:
    """A region's rectangle at its strength; all but it where that is negative."""
    width, height = building.get(WIDTH), building.get(HEIGHT)
    x, y = int(region.x * width), int(region.y * height)
    size = max(1, int(region.width * width)), max(1, int(region.height * height))
    inside = building.add("SolidMask", value=abs(region.strength), width=size[0], height=size[1])
    empty = _solid(building, 0.0)
    mask = building.add("MaskComposite", destination=empty, source=inside, x=x, y=y, operation="add")
    return building.add("InvertMask", mask=mask) if region.strength < 0 else mask


def _within(building: Building, told: Link, mask: Link, strength: float) -> Link:
    return building.add("ConditioningSetMask", conditioning=told, mask=mask, strength=strength, set_cond_area="default")


def _with(building: Building, first: Link, second: Link) -> Link:
    return building.add("ConditioningCombine", conditioning_1=first, conditioning_2=second)


def told(building: Building) -> tuple[Link, Link]:
    """What the base walk is told."""
    return need(building.positive), need(building.negative)


TELL = ComfyStep(
    id="tell",
    order=20,
    run=tell,
    params=(PROMPT, NEGATIVE_PROMPT, ZERO_NEGATIVE, FLUX_GUIDANCE_SCALE, GLOBAL_REGION_FACTOR),
)

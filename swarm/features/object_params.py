"""The parameters of objects, and whether a request has any (swarm-t2i 9.12)."""

from __future__ import annotations

from swarm.features.core import PROMPT
from swarm.features.groups import REGIONAL_PROMPTING_GROUP
from swarm.params.input import GenerationInput
from swarm.params.kinds import Decimal, Model
from swarm.prompt.sections import Region, split_sections

OBJECT_CLEANUP = Decimal(
    name="Regional Object Cleanup Factor",
    description="The share of steps of a last walk over the whole picture once its objects are drawn; 0 leaves it out.",
    default=0.0,
    min=0,
    max=1,
    step=0.05,
    ignore_if="0",
    group=REGIONAL_PROMPTING_GROUP,
    priority=-4.0,
    view_type="slider",
    advanced=True,
)
OBJECT_MODEL = Model(
    name="Regional Object Inpainting Model",
    description="The model that draws objects, instead of the one that draws the picture.",
    subtype="Stable-Diffusion",
    group=REGIONAL_PROMPTING_GROUP,
    priority=-3.0,
    advanced=True,
    toggleable=True,
)


def objects_of(input: GenerationInput) -> tuple[Region, ...]:
    """The regions of the prompt that are also drawn anew, on their own."""
    prompt = input.get(PROMPT)
    if "<object:" not in prompt:
        return ()
    return tuple(region for region in split_sections(prompt).regions if region.is_object)


def has_objects(input: GenerationInput) -> bool:
    return bool(objects_of(input))

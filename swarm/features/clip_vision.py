"""Which image encoder the features that look at pictures use: the one the request names, else by its usual names."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.access.permissions import MODEL_PARAMS
from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files
from swarm.params.input import GenerationInput
from swarm.params.kinds import Model

SUBTYPE = "ClipVision"
CLIP_VISION_MODEL = Model(
    name="CLIP-Vision Model",
    description="The image encoder to use for prompt images, instead of the one that is looked for by its name.",
    subtype=SUBTYPE,
    ignore_if="",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    priority=16.5,
    permission=MODEL_PARAMS,
    advanced=True,
    toggleable=True,
)


def image_encoder(input: GenerationInput, files: Files, usual: Sequence[str]) -> ModelFile | None:
    """The named image encoder, else the first of the `usual` names that is there; None without either."""
    if input.has(CLIP_VISION_MODEL):
        return files.find(SUBTYPE, input.get(CLIP_VISION_MODEL))
    return next((found for name in usual if (found := files.find(SUBTYPE, name)) is not None), None)

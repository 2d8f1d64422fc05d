"""What the picture is led away from, said by another model (swarm-t2i 9.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from swarm.access.permissions import MODEL_PARAMS
from swarm.base.errors import BadInput
from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.jobs.job import ModelFile
from swarm.jobs.needs import Files, Found, need
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from swarm.params.kinds import Boolean, Model

_PARAMS: dict[str, Any] = {
    "group": ADVANCED_MODEL_ADDONS_GROUP,
    "permission": MODEL_PARAMS,
    "advanced": True,
    "toggleable": True,
    "can_sectionalize": True,
}

NEGATIVE_MODEL = Model(
    name="Negative Model",
    description="Predicts what the negative prompt says in place of the main model. Must be of the same family.",
    ignore_if="",
    priority=80.0,
    **_PARAMS,
)
NEGATIVE_MODEL_INCLUDE_LORAS = Boolean(
    name="Negative Model Include LoRAs",
    description="Whether the LoRAs act on the negative model too.",
    default=True,
    priority=81.0,
    **_PARAMS,
)


def unlike(negative: str, main: str) -> str:
    """Why two models cannot work together."""
    return (
        f"The negative model '{negative}' is not of the same family as the model '{main}'. "
        "Choose one whose latents are of the same kind."
    )


@need(when=NEGATIVE_MODEL)
def fitting_negative_model(input: GenerationInput, model: ModelFile | None, files: Files) -> Found:
    """Nothing more: the model itself is found by its parameter. Refuses one of another family."""
    name = input.get(NEGATIVE_MODEL)
    file = files.find("Stable-Diffusion", name)
    if file is not None and model is not None:
        own, other = files.architecture(model), files.architecture(file)
        if own is not None and other is not None and own.compat.id != other.compat.id:
            raise BadInput(unlike(file.name, model.name))
    return Found(parts={}, files={})


def negative_pass(of: Pass) -> Pass | None:
    """The same walk on the weights that speak for the negative prompt; None where they are the walk's own.

    Later walks on models of other families (a refiner's) go without it, and so do walks upwards, which nothing guides.
    """
    file = of.files.get(NEGATIVE_MODEL.id) if of.input.has(NEGATIVE_MODEL) else None
    if file is None or of.climbs or (of.name != "base" and file.family != of.model.family):
        return None
    with_loras = of.input.get(NEGATIVE_MODEL_INCLUDE_LORAS)
    if with_loras and (file.path, file.stamp) == (of.model.path, of.model.stamp):
        return None
    return replace(
        of,
        model=file,
        loras=of.loras if with_loras else (),
        input=of.input.without(NEGATIVE_MODEL, NEGATIVE_MODEL_INCLUDE_LORAS),
    )

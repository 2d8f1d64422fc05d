"""The parameters of the three ControlNets; each slot has the same seven (swarm-t2i 9.9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import swarm.features.preprocessors
from swarm.access.permissions import PARAM_CONTROLNET
from swarm.base.registry import collect
from swarm.features.groups import CONTROLNET_GROUP, CONTROLNET_THREE_GROUP, CONTROLNET_TWO_GROUP
from swarm.features.preprocessors.preprocessor import Preprocessor
from swarm.params.kinds import Decimal, Dropdown, Model, fixed
from swarm.params.media_kinds import Media
from swarm.params.param import ParamGroup

NONE, AUTO = "None", "auto"
OPENPOSE, DEPTHS = "openpose", "depth"
STROKES, LINES = "hed/pidi/scribble/ted", "canny/lineart/anime_lineart/mlsd"
PREPROCESSORS = collect(swarm.features.preprocessors, Preprocessor)


@dataclass(frozen=True, kw_only=True)
class Slot:
    """The parameters of one ControlNet."""

    image: Media
    preprocessor: Dropdown
    union: Dropdown
    model: Model
    strength: Decimal
    start: Decimal
    end: Decimal


def _slot(name: str, group: ParamGroup) -> Slot:
    common: dict[str, Any] = {"group": group, "permission": PARAM_CONTROLNET, "flags": ("controlnet",)}
    return Slot(
        image=Media(
            name=f"{name} Image Input",
            description="The guiding picture; without one the init image, or the first ControlNet's picture, is used.",
            toggleable=True,
            priority=1.0,
            **common,
        ),
        preprocessor=_preprocessor(name, common),
        union=_union(name, common),
        model=Model(
            name=f"{name} Model",
            description="The ControlNet to use.",
            default="(None)",
            subtype="ControlNet",
            priority=5.0,
            **common,
        ),
        strength=_strength(name, common),
        start=_edge(f"{name} Start", "The share of the steps after which it begins to act.", 0, common),
        end=_edge(f"{name} End", "The share of the steps after which it no longer acts.", 1, common),
    )


def _preprocessor(name: str, common: dict[str, Any]) -> Dropdown:
    return Dropdown(
        name=f"{name} Preprocessor",
        description="How the guiding picture is prepared. Switched off, it is guessed from the model's name; None "
        "shows the picture as it is.",
        default=NONE,
        values=fixed(NONE, *sorted(PREPROCESSORS)),
        toggleable=True,
        priority=3.0,
        **common,
    )


def _union(name: str, common: dict[str, Any]) -> Dropdown:
    return Dropdown(
        name=f"{name} Union Type",
        description="What the guiding picture shows, for models that understand several kinds.",
        default=AUTO,
        values=fixed(AUTO, OPENPOSE, DEPTHS, STROKES, LINES, "normal", "segment", "tile", "repaint"),
        toggleable=True,
        advanced=True,
        priority=4.0,
        **common,
    )


def _strength(name: str, common: dict[str, Any]) -> Decimal:
    return Decimal(
        name=f"{name} Strength",
        description="How strongly the guiding picture is followed.",
        default=1.0,
        min=0,
        max=2,
        step=0.05,
        examples=("0", "0.5", "1", "2"),
        view_type="slider",
        priority=8.0,
        **common,
    )


def _edge(name: str, description: str, default: int, common: dict[str, Any]) -> Decimal:
    return Decimal(
        name=name,
        description=description,
        default=float(default),
        min=0,
        max=1,
        step=0.05,
        ignore_if=str(default),
        examples=("1", "0.8", "0.5") if default else ("0", "0.2", "0.5"),
        view_type="slider",
        advanced=True,
        priority=10.0 + default,
        **common,
    )


ONE = _slot("ControlNet", CONTROLNET_GROUP)
TWO = _slot("ControlNet Two", CONTROLNET_TWO_GROUP)
THREE = _slot("ControlNet Three", CONTROLNET_THREE_GROUP)
SLOTS = (ONE, TWO, THREE)
CONTROLNET_IMAGE_INPUT, CONTROLNET_TWO_IMAGE_INPUT, CONTROLNET_THREE_IMAGE_INPUT = (each.image for each in SLOTS)
CONTROLNET_PREPROCESSOR, CONTROLNET_TWO_PREPROCESSOR, CONTROLNET_THREE_PREPROCESSOR = (
    each.preprocessor for each in SLOTS
)
CONTROLNET_UNION_TYPE, CONTROLNET_TWO_UNION_TYPE, CONTROLNET_THREE_UNION_TYPE = (each.union for each in SLOTS)
CONTROLNET_MODEL, CONTROLNET_TWO_MODEL, CONTROLNET_THREE_MODEL = (each.model for each in SLOTS)
CONTROLNET_STRENGTH, CONTROLNET_TWO_STRENGTH, CONTROLNET_THREE_STRENGTH = (each.strength for each in SLOTS)
CONTROLNET_START, CONTROLNET_TWO_START, CONTROLNET_THREE_START = (each.start for each in SLOTS)
CONTROLNET_END, CONTROLNET_TWO_END, CONTROLNET_THREE_END = (each.end for each in SLOTS)

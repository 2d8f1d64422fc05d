"""How the server handles a request: which backend, which seeds, what happens on errors."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.access.permissions import PARAM_BACKEND_ID, PARAM_BACKEND_TYPE
from swarm.features.groups import SWARM_INTERNAL_GROUP
from swarm.params.choices import Choices
from swarm.params.kinds import Boolean, Dropdown, Integer, fixed
from swarm.params.param import Option

ANY_BACKEND = "Any"


def _backend_types(choices: Choices) -> Sequence[Option]:
    return [(ANY_BACKEND, ANY_BACKEND), *choices.backend_types()]


def _backends(choices: Choices) -> Sequence[Option]:
    return [(id, f"{id}: {title}") for id, title in choices.backends()]


NO_LOAD_MODELS = Boolean(
    name="No Load Models",
    description="Take any backend as if it had the model loaded already.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-13.0,
    advanced=True,
    always_retain=True,
    intentional_unused=True,
)
CONTINUE_AFTER_ERRORS = Boolean(
    name="Continue After Errors",
    description="When a picture fails, go on with the others and say nothing about it.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-12.0,
    advanced=True,
    always_retain=True,
    intentional_unused=True,
)
FORWARD_SWARM_DATA = Boolean(
    name="Forward Swarm Data",
    description="Also tell the caller which parameters were used.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    visible=False,
    advanced=True,
    always_retain=True,
    hide_from_metadata=True,
)
INTERNAL_BACKEND_TYPE = Dropdown(
    name="[Internal] Backend Type",
    description="Use only backends of this type.",
    default=ANY_BACKEND,
    values=_backend_types,
    ignore_if=ANY_BACKEND,
    permission=PARAM_BACKEND_TYPE,
    group=SWARM_INTERNAL_GROUP,
    priority=-10.0,
    advanced=True,
    always_retain=True,
)
EXACT_BACKEND_ID = Dropdown(
    name="Exact Backend ID",
    description="Use only this backend.",
    default="0",
    values=_backends,
    permission=PARAM_BACKEND_ID,
    group=SWARM_INTERNAL_GROUP,
    priority=-9.0,
    view_type="big",
    advanced=True,
    toggleable=True,
    always_retain=True,
)
WILDCARD_SEED = Integer(
    name="Wildcard Seed",
    description="Decides what <random> and <wildcard> pick. Without it the seed and the variation seed do.",
    default=-1,
    min=-1,
    max=4294967295,
    examples=("1", "2", "...", "10"),
    group=SWARM_INTERNAL_GROUP,
    priority=-5.0,
    view_type="seed",
    toggleable=True,
    always_retain=True,
)
PICK_AT_RANDOM, PICK_BY_INDEX = "Random", "Index"
WILDCARD_SEED_BEHAVIOR = Dropdown(
    name="Wildcard Seed Behavior",
    description="Pick at random, or take the wildcard seed as the number of the option to pick, counted from 0.",
    default=PICK_AT_RANDOM,
    values=fixed(PICK_AT_RANDOM, PICK_BY_INDEX),
    ignore_if=PICK_AT_RANDOM,
    group=SWARM_INTERNAL_GROUP,
    priority=-4.5,
    advanced=True,
    always_retain=True,
)
NO_SEED_INCREMENT = Boolean(
    name="No Seed Increment",
    description="Use the same seed for every picture of the request.",
    ignore_if="false",
    group=SWARM_INTERNAL_GROUP,
    priority=-4.0,
    advanced=True,
    always_retain=True,
)

"""Variations of a picture: noise of a second seed mixed into the first (swarm-t2i 9.2)."""

from swarm.features.groups import VARIATION_SEED_GROUP
from swarm.params.kinds import Decimal, Integer

VARIATION_SEED = Integer(
    name="Variation Seed",
    description="The second seed. -1 picks one at random.",
    default=-1,
    min=-1,
    max=4294967295,
    examples=("1", "2", "...", "10"),
    group=VARIATION_SEED_GROUP,
    priority=-17.0,
    view_type="seed",
    flags=("variation_seed",),
    can_sectionalize=True,
)
VARIATION_SEED_STRENGTH = Decimal(
    name="Variation Seed Strength",
    description="How much of the second seed's noise to use: 0 none, 1 nothing else.",
    default=0.0,
    min=0,
    max=1,
    step=0.05,
    ignore_if="0",
    examples=("0", "0.25", "0.5", "0.75"),
    group=VARIATION_SEED_GROUP,
    priority=-17.0,
    view_type="slider",
    flags=("variation_seed",),
    can_sectionalize=True,
)

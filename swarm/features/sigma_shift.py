"""How far a flow model's noise levels are moved towards more noise (swarm-t2i 9.4)."""

from swarm.features.groups import ADVANCED_SAMPLING_GROUP
from swarm.params.kinds import Decimal

SIGMA_SHIFT = Decimal(
    name="Sigma Shift",
    description="For flow models: how long they stay at high noise, where the composition is made. For Flux.1 it is "
    "the shift at 1024x1024; other sizes get more or less.",
    default=3.0,
    min=0,
    max=100,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-21.0,
    advanced=True,
    toggleable=True,
    can_sectionalize=True,
)

"""The guidance number that Flux.1 dev and its kin were distilled with (swarm-t2i 9.4)."""

from swarm.features.groups import SAMPLING_GROUP
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.kinds import Boolean, Decimal

FLUX_GUIDANCE_SCALE = Decimal(
    name="Flux Guidance Scale",
    description="The guidance that models such as Flux.1 dev have learnt to follow in one pass; not the CFG scale.",
    default=3.5,
    min=0,
    max=100,
    view_max=10,
    step=0.1,
    group=SAMPLING_GROUP,
    priority=6.0,
    view_type="slider",
    flags=("flux-dev",),
    toggleable=True,
)
FLUX_DISABLE_GUIDANCE = Boolean(
    name="Flux Disable Guidance",
    description="Tells the model no guidance at all.",
    ignore_if="false",
    group=SAMPLING_GROUP,
    priority=6.2,
    flags=("flux-dev",),
    advanced=True,
)
NO_GUIDANCE = -1.0
"""As `StageContext.guidance`: the model is told nothing."""


@stage(Stage.START, order=30, when=FLUX_GUIDANCE_SCALE)
def tell_guidance(context: StageContext) -> None:
    """The number from the request; without one the family's own is told."""
    context.guidance = context.input.get(FLUX_GUIDANCE_SCALE)


@stage(Stage.START, order=31, when=FLUX_DISABLE_GUIDANCE)
def tell_no_guidance(context: StageContext) -> None:
    """Leave the number out."""
    if context.input.get(FLUX_DISABLE_GUIDANCE):
        context.guidance = NO_GUIDANCE

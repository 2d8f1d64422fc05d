"""Which solver removes the noise, along which schedule."""

from operator import methodcaller

from swarm.features.groups import ADVANCED_SAMPLING_GROUP, SAMPLING_GROUP
from swarm.jobs.stage import Stage, StageContext, stage
from swarm.params.kinds import Decimal, Dropdown

SAMPLER = Dropdown(
    name="Sampler",
    description="The solver that removes the noise. Ancestral and SDE ones add fresh noise at every step.",
    default="euler",
    values=methodcaller("samplers"),
    group=SAMPLING_GROUP,
    priority=-5.0,
    flags=("comfyui",),
    toggleable=True,
    can_sectionalize=True,
)
SCHEDULER = Dropdown(
    name="Scheduler",
    description="How the noise level falls from step to step.",
    default="normal",
    values=methodcaller("schedules"),
    group=SAMPLING_GROUP,
    priority=-4.0,
    flags=("comfyui",),
    toggleable=True,
    can_sectionalize=True,
)
SAMPLER_SIGMA_MIN = Decimal(
    name="Sampler Sigma Min",
    description="The noise level that Karras and exponential schedules end at. Acts together with Sampler Sigma Max.",
    default=0.0,
    min=0,
    max=1000,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-23.0,
    advanced=True,
    toggleable=True,
)
SAMPLER_SIGMA_MAX = Decimal(
    name="Sampler Sigma Max",
    description="The noise level that Karras and exponential schedules begin at. Acts together with Sampler Sigma Min.",
    default=10.0,
    min=0,
    max=1000,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-22.0,
    advanced=True,
    toggleable=True,
)
SAMPLER_RHO = Decimal(
    name="Sampler Rho",
    description="How strongly the Karras schedule crowds its steps at low noise. Acts together with Sampler Sigma Min "
    "and Max.",
    default=7.0,
    min=0,
    max=1000,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-20.0,
    advanced=True,
    toggleable=True,
)
END_STEPS_EARLY = Decimal(
    name="End Steps Early",
    description="The share of steps to leave out at the end; the picture is finished from where it stands then.",
    default=0.0,
    min=0,
    max=1,
    ignore_if="0",
    group=ADVANCED_SAMPLING_GROUP,
    flags=("endstepsearly",),
    visible=False,
    toggleable=True,
)


@stage(Stage.START, order=10, when=END_STEPS_EARLY)
def end_early(context: StageContext) -> None:
    """Keep the first int(steps * (1 - e)) steps; the last of them goes straight to the end (swarm-t2i 9.4).

    Where none is left, the picture is what the walk would have begun with, without noise.
    """
    kept = int(context.steps * (1.0 - context.input.get(END_STEPS_EARLY)))
    if kept < len(context.sigmas) - 1:
        context.sigmas = [*context.sigmas[:kept], 0.0]

"""How the encoded prompts are prepared and followed (swarm-t2i 9.4)."""

from dataclasses import replace

from swarm.diffusion.guidance import rescale
from swarm.diffusion.prediction import v_factors
from swarm.features.core import NEGATIVE_PROMPT
from swarm.features.groups import ADVANCED_SAMPLING_GROUP, ALTERNATE_GUIDANCE_GROUP, SAMPLING_GROUP
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.kinds import Boolean, Decimal, Integer

ZERO_NEGATIVE = Boolean(
    name="Zero Negative",
    description="Without a negative prompt, steer away from all-zero numbers instead of from the empty text.",
    ignore_if="false",
    group=SAMPLING_GROUP,
    priority=7.0,
)
CLIP_STOP_AT_LAYER = Integer(
    name="CLIP Stop At Layer",
    description="The text encoder's layer to use, counted from its end. -2 is known elsewhere as clip skip 2.",
    default=-1,
    min=-24,
    max=-1,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-10.0,
    advanced=True,
    toggleable=True,
)
CONDITIONING_MULTIPLIER = Decimal(
    name="Conditioning Multiplier",
    description="Multiplies the encoded prompt by this number.",
    default=1.0,
    min=-100,
    max=100,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-1.0,
    advanced=True,
    toggleable=True,
)
NEGATIVE_CONDITIONING_MULTIPLIER = Decimal(
    name="Negative Conditioning Multiplier",
    description="Multiplies the encoded negative prompt by this number.",
    default=1.0,
    min=-100,
    max=100,
    step=0.01,
    group=ADVANCED_SAMPLING_GROUP,
    priority=-0.9,
    advanced=True,
    toggleable=True,
)
RESCALE_CFG_MULTIPLIER = Decimal(
    name="Rescale CFG Multiplier",
    description="How far to calm the guided prediction down to the contrast it has unguided. Helps at high CFG scales.",
    default=0.7,
    min=0,
    max=1,
    step=0.01,
    group=ALTERNATE_GUIDANCE_GROUP,
    priority=14.0,
    view_type="slider",
    flags=("comfyui",),
    advanced=True,
    toggleable=True,
)


@stage(Stage.ENCODE, order=10, when=ZERO_NEGATIVE)
def zero_negative(context: StageContext) -> None:
    """Without a negative prompt: zeros instead of the encoded empty text, pooled ones too."""
    if context.input.get(ZERO_NEGATIVE) and not context.input.get(NEGATIVE_PROMPT).strip():
        context.negative = [_scaled(one, 0.0) for one in context.negative]


@stage(Stage.ENCODE, order=20, when=CONDITIONING_MULTIPLIER)
def multiply_positive(context: StageContext) -> None:
    """The encoded prompt, multiplied."""
    context.positive = [_scaled(one, context.input.get(CONDITIONING_MULTIPLIER)) for one in context.positive]


@stage(Stage.ENCODE, order=20, when=NEGATIVE_CONDITIONING_MULTIPLIER)
def multiply_negative(context: StageContext) -> None:
    """The encoded negative prompt, multiplied."""
    context.negative = [_scaled(one, context.input.get(NEGATIVE_CONDITIONING_MULTIPLIER)) for one in context.negative]


@stage(Stage.GUIDE, order=30, when=RESCALE_CFG_MULTIPLIER)
def rescale_guidance(context: StageContext) -> None:
    """Bring the guided prediction back towards the standard deviation of the prompt's own, in v space."""
    if context.uncond is None:
        return
    keep, factor = v_factors(context.sigma)
    shown = context.x * keep
    guided, cond = shown + context.denoised * factor, shown + context.cond * factor
    weight = context.input.get(RESCALE_CFG_MULTIPLIER)
    calmed = rescale(guided, cond, weight, lambda value: value.std(dim=(1, 2, 3), keepdim=True))
    context.denoised = (calmed - shown) * (1.0 / factor)


def _scaled(conditioning: Conditioning, factor: float) -> Conditioning:
    pooled = None if conditioning.pooled is None else conditioning.pooled * factor
    return replace(conditioning, tokens=conditioning.tokens * factor, pooled=pooled)

"""Normalized attention guidance: what the negative prompt draws attention to is left out of it (2505.21179).

It acts inside the model's self-attention, so it works where guidance by two predictions does not: with few steps and
without CFG. UNet models only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from swarm.base.errors import BadInput
from swarm.features.core import NEGATIVE_PROMPT
from swarm.features.groups import ALTERNATE_GUIDANCE_GROUP
from swarm.jobs.stage import Conditioning, Stage, StageContext, stage
from swarm.params.kinds import Decimal
from swarm.prompt.alternation import prompt_schedule
from swarm.prompt.sections import split_sections

_PARAMS: dict[str, Any] = {
    "group": ALTERNATE_GUIDANCE_GROUP,
    "flags": ("comfyui",),
    "advanced": True,
    "view_type": "slider",
}
_FINE: dict[str, Any] = {
    "step": 0.01,
    "toggleable": True,
    "depends_on": "normalizedattentionguidancescale",
    **_PARAMS,
}

NAG_SCALE = Decimal(
    name="Normalized Attention Guidance Scale",
    description="How strongly attention is led away from the negative prompt, even without CFG. 0 is off.",
    default=0.0,
    max=50,
    ignore_if="0",
    priority=18.0,
    **_PARAMS,
)
NAG_ALPHA = Decimal(
    name="Normalized Attention Guidance Alpha",
    description="The share of the guided attention in the result; the rest is the prompt's own.",
    default=0.5,
    max=1,
    priority=18.1,
    **_FINE,
)
NAG_TAU = Decimal(
    name="Normalized Attention Guidance Tau",
    description="How many times as strong as the prompt's own attention the guided one may become.",
    default=1.5,
    min=0.5,
    max=10,
    priority=18.2,
    **_FINE,
)

_IN_EXTRA = "attention_away"
_NETWORK = "unet"


@dataclass(frozen=True, kw_only=True, eq=False)
class Away:
    """What attention is led away from, and the method's three numbers."""

    told: Conditioning
    scale: float
    alpha: float
    tau: float


def away_in(told: Conditioning) -> Away | None:
    """What a conditioning leads attention away from."""
    found: Away | None = told.extra.get(_IN_EXTRA)
    return found


@stage(Stage.ENCODE, order=70, when=NAG_SCALE)
def lead_attention_away(context: StageContext) -> None:
    """The negative prompt beside the prompt's words."""
    input = context.input
    scale = input.get(NAG_SCALE)
    if scale == 0:
        return
    if context.tools.architecture.adapter != _NETWORK:
        raise BadInput(
            f"Normalized Attention Guidance cannot be used with {context.tools.architecture.name} models on this "
            "server. Set its scale to 0."
        )
    told = context.negative[0] if context.negative else _negative(context)
    away = Away(told=told, scale=scale, alpha=input.get(NAG_ALPHA), tau=input.get(NAG_TAU))
    context.positive = [replace(one, extra={**one.extra, _IN_EXTRA: away}) for one in context.positive]


def _negative(context: StageContext) -> Conditioning:
    """The negative prompt of a walk that is not guided by it."""
    text = prompt_schedule(context.input.get(NEGATIVE_PROMPT), context.steps)[0].text
    return context.tools.encode_text(split_sections(text).for_base())

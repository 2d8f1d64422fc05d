"""Normalized attention guidance: what the negative prompt draws attention to is left out of it (2505.21179).

It acts inside the model's attention, so it works where guidance by two predictions does not: with few steps and without
CFG. In UNets that is the picture's attention to itself, in transformers that to the prompt and itself together.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
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
_UNET = "unet"
_JOINT = {"flux": True, "flux-2": True, "sd3": True, "chroma": False, "qwen-image": False, "z-image": False}
"""Networks that attend to words and picture together; whether the prompts of a call must have one length."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Away:
    """What attention is led away from, and the method's three numbers. `turned`: of the negative prompt's own line,
    `told` is then what attention is led to. `pair`: the same for both lines of a pair."""

    told: Conditioning
    scale: float
    alpha: float
    tau: float
    turned: bool = False
    pair: object = field(default_factory=object)


def away_in(told: Conditioning) -> Away | None:
    """What a conditioning's attention is paired with."""
    found: Away | None = told.extra.get(_IN_EXTRA)
    return found


@stage(Stage.ENCODE, order=70, when=NAG_SCALE)
def lead_attention_away(context: StageContext) -> None:
    """The negative prompt beside the prompt's words, for UNets."""
    network = context.tools.architecture.adapter
    if context.input.get(NAG_SCALE) == 0 or network in _JOINT:
        return
    if network != _UNET:
        raise BadInput(
            f"Normalized Attention Guidance cannot be used with {context.tools.architecture.name} models on this "
            "server. Set its scale to 0."
        )
    told = context.negative[0] if context.negative else _negative(context)
    away = _away(context, told)
    context.positive = [replace(one, extra={**one.extra, _IN_EXTRA: away}) for one in context.positive]


@stage(Stage.ENCODE, order=90, when=NAG_SCALE)
def pair_attention(context: StageContext) -> None:
    """The prompts as pairs, for networks that attend to words and picture together; after all that comes with them."""
    length_counts = _JOINT.get(context.tools.architecture.adapter or "")
    if context.input.get(NAG_SCALE) == 0 or length_counts is None:
        return
    own = context.negative[0] if context.negative else None
    told = _negative(context) if own is None else own
    paired: list[Conditioning] = []
    for number, one in enumerate(context.positive):
        # Pictures that come with the prompt come with what it is led away from.
        other = replace(told, extra={**one.extra, **told.extra})
        if length_counts:
            one, other = _as_long(one, other), _as_long(other, one)
        away = _away(context, other)
        paired.append(replace(one, extra={**one.extra, _IN_EXTRA: away}))
        if number == 0 and own is not None and _alike(own, one):
            turned = replace(away, told=one, turned=True)
            context.negative[0] = replace(other, extra={**other.extra, _IN_EXTRA: turned})
    context.positive = paired


def _away(context: StageContext, told: Conditioning) -> Away:
    input = context.input
    return Away(told=told, scale=input.get(NAG_SCALE), alpha=input.get(NAG_ALPHA), tau=input.get(NAG_TAU))


def _alike(one: Conditioning, other: Conditioning) -> bool:
    """Whether the same pictures come with both, so that one can take the other's place in a pair."""
    return one.extra.keys() == other.extra.keys()


def _as_long(one: Conditioning, other: Conditioning) -> Conditioning:
    """`one` with its tokens over and over, until they are as many as the other's."""
    length, wanted = one.tokens.shape[1], other.tokens.shape[1]
    if length >= wanted:
        return one
    return replace(one, tokens=one.tokens.repeat(1, -(-wanted // length), 1)[:, :wanted])


def _negative(context: StageContext) -> Conditioning:
    """The negative prompt of a walk that is not guided by it."""
    text = prompt_schedule(context.input.get(NEGATIVE_PROMPT), context.steps)[0].text
    return context.tools.encode_text(split_sections(text).for_base())

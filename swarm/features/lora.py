"""LoRAs: small additions to a model's weights, and how strongly each acts (swarm-t2i 9.15)."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.features.groups import ADVANCED_MODEL_ADDONS_GROUP
from swarm.params.choices import Choices
from swarm.params.input import GenerationInput
from swarm.params.kinds import NO_MODEL, Listing
from swarm.params.matching import without_suffix
from swarm.params.param import Option


def _lora_names(choices: Choices) -> Sequence[Option]:
    names = [NO_MODEL, *map(without_suffix, choices.models("LoRA") or ())]
    return [(name, name) for name in sorted(names, key=str.lower)]


LORAS = Listing(
    name="LoRAs",
    description="The LoRAs to apply, in order.",
    subtype="LoRA",
    values=_lora_names,
    ignore_if="",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    visible=False,
    advanced=True,
)
LORA_WEIGHTS = Listing(
    name="LoRA Weights",
    description="How strongly each LoRA acts, in the order of the LoRAs; 1 where none is given.",
    numeric=True,
    min=-10,
    max=10,
    step=0.1,
    ignore_if="",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    visible=False,
    advanced=True,
)
LORA_TENC_WEIGHTS = Listing(
    name="LoRA Tenc Weights",
    description="How strongly each LoRA acts on the text encoder; the LoRA's weight where none is given.",
    numeric=True,
    min=-10,
    max=10,
    step=0.1,
    ignore_if="",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    visible=False,
    advanced=True,
)

LORA_SECTION_CONFINEMENT = Listing(
    name="LoRA Section Confinement",
    description="The section of the prompt that each LoRA is confined to, as a number; -1 and 0 act everywhere.",
    numeric=True,
    ignore_if="",
    group=ADVANCED_MODEL_ADDONS_GROUP,
    visible=False,
    advanced=True,
)
_BESIDE = (LORA_WEIGHTS, LORA_TENC_WEIGHTS, LORA_SECTION_CONFINEMENT)
_EVERYWHERE = "-1"


def with_level_lora_lists(input: GenerationInput) -> GenerationInput:
    """All lists as long as the list of LoRAs, cut or filled up; `(None)` entries go (swarm-t2i 3.8 step 4)."""
    names = input.get(LORAS)
    if not names:
        return input.without(*_BESIDE)
    given = input.get(LORA_WEIGHTS)
    weights = given[: len(names)] + ("1",) * (len(names) - len(given))
    rows = zip(names, weights, _text_weights(input, weights), _sections(input, len(names)), strict=True)
    kept = [row for row in rows if row[0] != NO_MODEL]
    if not kept:
        return input.without(LORAS, *_BESIDE)
    level = input.having(LORAS, tuple(row[0] for row in kept)).having(LORA_WEIGHTS, tuple(row[1] for row in kept))
    if input.has(LORA_TENC_WEIGHTS):
        level = level.having(LORA_TENC_WEIGHTS, tuple(row[2] for row in kept))
    if input.has(LORA_SECTION_CONFINEMENT):
        level = level.having(LORA_SECTION_CONFINEMENT, tuple(row[3] for row in kept))
    return level


def _text_weights(input: GenerationInput, weights: tuple[str, ...]) -> tuple[str, ...]:
    given = input.get(LORA_TENC_WEIGHTS)[: len(weights)]
    return given + weights[len(given) :]


def _sections(input: GenerationInput, count: int) -> tuple[str, ...]:
    given = input.get(LORA_SECTION_CONFINEMENT)[:count]
    return given + (_EVERYWHERE,) * (count - len(given))


def lora_sections(input: GenerationInput) -> tuple[int, ...]:
    """The section that each LoRA of the request is confined to."""
    return tuple(int(float(section)) for section in _sections(input, len(input.get(LORAS))))


def with_lora(
    input: GenerationInput, name: str, weight: str, text_weight: str | None, *, section: int = 0
) -> GenerationInput:
    """`input` with one more LoRA at the end, as a `<lora:…>` tag in that section of the prompt asks for it."""
    input = with_level_lora_lists(input)
    weights = input.get(LORA_WEIGHTS)
    sections = (*_sections(input, len(input.get(LORAS))), str(section))
    if text_weight is not None or input.has(LORA_TENC_WEIGHTS):
        tail = (text_weight if text_weight is not None else weight,)
        input = input.having(LORA_TENC_WEIGHTS, _text_weights(input, weights) + tail)
    input = input.having(LORAS, (*input.get(LORAS), name)).having(LORA_WEIGHTS, (*weights, weight))
    return input.having(LORA_SECTION_CONFINEMENT, sections)

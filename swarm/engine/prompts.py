"""What the denoiser is told at each step: prompts encoded once per distinct text, prepared by the features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from swarm.engine.components import TextEncoder, TextOptions
from swarm.features.conditioning import CLIP_STOP_AT_LAYER
from swarm.features.core import NEGATIVE_PROMPT, PROMPT
from swarm.features.prompt_images import pictures_to_see
from swarm.features.sd3_encoders import silent_encoders
from swarm.jobs.stage import Conditioning, Pass, StageContext, StageFunction
from swarm.prompt.alternation import ScheduledText, prompt_schedule
from swarm.prompt.sections import split_sections

EMBEDDING = "embedding:"
"""What the names of textual inversion files begin with in `Pass.files`."""


class Told(NamedTuple):
    """What both prompts say at one step. `negative` is empty where guidance needs none."""

    positive: list[Conditioning]
    negative: list[Conditioning]


def text_options(of: Pass) -> TextOptions:
    """How the prompts of a walk are encoded."""
    named = sorted((name, file) for name, file in of.files.items() if name.startswith(EMBEDDING))
    return TextOptions(
        stop_at_layer=of.input.given(CLIP_STOP_AT_LAYER),
        silent=silent_encoders(of.input),
        pictures=pictures_to_see(of.input),
        embeddings=tuple((name.removeprefix(EMBEDDING), file) for name, file in named),
    )


class Prompts:
    """The conditioning of each step. Prompts that change on the way are encoded once per distinct text."""

    def __init__(
        self, text: TextEncoder, context: StageContext, stages: Sequence[StageFunction], *, with_negative: bool
    ) -> None:
        self.text = text
        self._context = context
        self._stages = stages
        self._options = text_options(context.of)
        self._positive = prompt_schedule(context.input.get(PROMPT), context.steps)
        self._negative = None
        if with_negative:
            self._negative = prompt_schedule(context.input.get(NEGATIVE_PROMPT), context.steps)
        self._made: dict[tuple[str, str | None], Told] = {}

    def at(self, step: int) -> Told:
        """What the denoiser is told at `step` of the sigmas that are walked."""
        whole = step + self._context.first_step
        positive = _text_at(self._positive, whole)
        negative = None if self._negative is None else _text_at(self._negative, whole)
        known = self._made.get((positive, negative))
        if known is None:
            known = self._made[positive, negative] = self._encoded(positive, negative)
        return known

    def _encoded(self, positive: str, negative: str | None) -> Told:
        context = self._context
        context.texts = positive, negative or ""
        context.positive = [self.text.encode(split_sections(positive).for_base(), self._options)]
        context.negative = []
        if negative is not None:
            options = replace(self._options, is_negative=True)
            context.negative = [self.text.encode(split_sections(negative).for_base(), options)]
        for function in self._stages:
            function.run(context)
        return Told(context.positive, context.negative)


def _text_at(ranges: Sequence[ScheduledText], step: int) -> str:
    return next((part.text for part in ranges if part.start <= step < part.end), ranges[-1].text)

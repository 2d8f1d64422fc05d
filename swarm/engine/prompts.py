"""What the denoiser is told at each step: prompts encoded once per distinct text, prepared by the features."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch

from swarm.engine.components import TextEncoder, TextOptions
from swarm.features.conditioning import CLIP_STOP_AT_LAYER
from swarm.features.core import NEGATIVE_PROMPT, PROMPT
from swarm.features.prompt_images import pictures_to_see
from swarm.features.sd3_encoders import silent_encoders
from swarm.jobs.stage import Conditioning, Pass, StageContext, StageFunction
from swarm.prompt.alternation import prompt_schedule
from swarm.prompt.sections import split_sections

EMBEDDING = "embedding:"
"""What the names of textual inversion files begin with in `Pass.files`."""


class Told(NamedTuple):
    """What both prompts say at one step. `negative` is empty where guidance needs none."""

    positive: list[Conditioning]
    negative: list[Conditioning]


class _Timed(NamedTuple):
    """A prompt's text from `start` to `end`, shares of the noise levels."""

    text: str
    start: float
    end: float


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
    """The conditioning at each noise level. Prompts that change on the way are encoded once per distinct text; `steps`:
    how many they count for a whole walk. `sent`: takes a tensor to the model's device."""

    def __init__(
        self,
        text: TextEncoder,
        context: StageContext,
        stages: Sequence[StageFunction],
        *,
        steps: int,
        with_negative: bool,
        sent: Callable[[torch.Tensor], torch.Tensor],
    ) -> None:
        self.text = text
        self._context = context
        self._stages = stages
        self._options = text_options(context.of)
        self._sent = sent
        self._positive = _scheduled(context.input.get(PROMPT), steps)
        self._negative = None
        if with_negative:
            self._negative = _scheduled(context.input.get(NEGATIVE_PROMPT), steps)
        self._made: dict[tuple[str, str | None], Told] = {}

    def at(self, share: float) -> Told:
        """What the denoiser is told when `share` (0 to 1) of the noise the model was trained on lies behind. Where two
        texts of a prompt count at once, all that both say."""
        positives = _texts_at(self._positive, share)
        negatives = [None] if self._negative is None else _texts_at(self._negative, share)
        if len(positives) == len(negatives) == 1:
            return self._known(positives[0], negatives[0])
        told = [self._known(positive, negatives[0]).positive for positive in positives]
        against = [self._known(positives[0], negative).negative for negative in negatives]
        return Told([one for each in told for one in each], [one for each in against for one in each])

    def _known(self, positive: str, negative: str | None) -> Told:
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
        return Told([self._placed(one) for one in context.positive], [self._placed(one) for one in context.negative])

    def _placed(self, told: Conditioning) -> Conditioning:
        """The same where its weight is a number; a map of weights goes to the device once."""
        return replace(told, weight=self._sent(told.weight)) if isinstance(told.weight, torch.Tensor) else told


def _scheduled(text: str, steps: int) -> list[_Timed]:
    steps = max(steps, 1)
    return [_Timed(part.text, *part.shares(steps)) for part in prompt_schedule(text, steps)]


def _texts_at(timed: Sequence[_Timed], share: float) -> list[str]:
    """The texts that count at a share, each once; at least one."""
    found = [one.text for one in timed if one.start <= share <= one.end]
    return list(dict.fromkeys(found)) or [timed[-1].text]

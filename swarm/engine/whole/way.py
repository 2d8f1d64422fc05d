"""How a whole pipeline's walk will go, known before it begins: which levels the network is asked at, for which step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch

from swarm.base.errors import BadInput
from swarm.diffusion.prediction import latent_scale
from swarm.diffusion.sampler import Guided, Noise, Sampler, SamplerRun
from swarm.diffusion.schedule import Schedule, ScheduleOptions, sigmas_for
from swarm.diffusion.space import Space
from swarm.engine.whole.levels import Levels
from swarm.jobs.stage import ALONE, Batch

Places: TypeAlias = Callable[[tuple[int, ...]], torch.Tensor | None]
Unguided: TypeAlias = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Swap:
    """A second model that takes over a share of the steps at the end, with a sampler and a schedule of its own."""

    share: float
    sampler: Sampler
    schedule: Schedule


@dataclass(frozen=True, kw_only=True)
class Leg:
    """A part of a walk that one run of a sampler takes; `first`: its first step. `is_second`: of the second model."""

    sampler: Sampler
    sigmas: Sequence[float]
    first: int = 0
    is_second: bool = False

    @property
    def last(self) -> int:
        """The step behind its last one."""
        return self.first + len(self.sigmas) - 1


@dataclass(frozen=True, kw_only=True)
class Way:
    """What a walk follows from. `seed`: of the first picture of `batch`. `kept`: how many of so many steps run before
    the last one goes straight to the end. `steps_left_out`: of so many, how many a picture to start from leaves out.

    `places(shape)`: in the arrangement that noise is drawn in, which number of a latent of that shape stands where, -1
    for none of it; None for the same arrangement. `unguided(said)`: what the network says to the negative prompt, where
    the pipeline goes on with `said`. `swap`: None where no second model takes over, or the pipeline has it do so.
    """

    sampler: Sampler
    schedule: Schedule
    options: ScheduleOptions
    levels: Levels
    seed: int
    batch: Batch = ALONE
    steps_left_out: Callable[[int], int] = lambda _steps: 0
    kept: Callable[[int], int] = lambda steps: steps
    places: Places = lambda _shape: None
    unguided: Unguided = lambda said: said
    swap: Swap | None = None

    @property
    def wants_unguided(self) -> bool:
        return self.sampler.wants_unguided or (self.swap is not None and self.swap.sampler.wants_unguided)

    def legs(self, steps: int, levels: Levels) -> list[Leg]:
        """What it consists of, at least one step in all."""
        sigmas = self._sigmas(self.sampler, self.schedule, steps, levels)
        if self.swap is None:
            return [Leg(sampler=self.sampler, sigmas=sigmas)]
        sampler, first = self.swap.sampler, handover(len(sigmas) - 1, self.swap.share)
        later = self._sigmas(sampler, self.swap.schedule, steps, levels)[first:]
        legs = [
            Leg(sampler=self.sampler, sigmas=sigmas[: first + 1]),
            Leg(sampler=sampler, sigmas=later, first=first, is_second=True),
        ]
        return [leg for leg in legs if len(leg.sigmas) > 1]

    def _sigmas(self, sampler: Sampler, schedule: Schedule, steps: int, levels: Levels) -> list[float]:
        found = sigmas_for(sampler, schedule, steps, levels.table, self.options)
        kept = self.kept(steps)
        if kept < steps:
            found = [*found[: max(1, kept)], 0.0]
        return found[min(self.steps_left_out(steps), len(found) - 2) :]


def handover(steps: int, share: float) -> int:
    """The step that a second model begins with, where it takes over a share of them."""
    return round(steps * (1.0 - share))


def run_of(legs: Sequence[Leg], x: Any, kind: str, noise: Callable[[Leg], Noise]) -> SamplerRun:
    """The runs of all legs as one. `x` begins at the first one's first level; `noise(leg)`: what its sampler draws.

    It may be answered by Guided, whether or not a sampler wants that.
    """
    at: float | None = None
    for leg in legs:
        if at is not None and at != leg.sigmas[0]:
            x = x * (latent_scale(kind, leg.sigmas[0]) / latent_scale(kind, at))
        x = yield from _leg_run(leg, leg.sampler.run(x, leg.sigmas, noise(leg)))
        at = leg.sigmas[-1]
    return x


def _leg_run(leg: Leg, run: SamplerRun) -> SamplerRun:
    """`run`, whose steps are counted on from the leg's first."""
    answer: Any = None
    while True:
        try:
            question = run.send(answer)
        except StopIteration as end:
            return end.value
        answer = yield question if leg.first == 0 else replace(question, step=question.step + leg.first)
        if isinstance(answer, Guided) and not leg.sampler.wants_unguided:
            answer = answer.denoised


@dataclass(frozen=True)
class Ask:
    """A call of the network: at which level, for which step."""

    sigma: float
    step: int


def asks_of(legs: Sequence[Leg], levels: Levels) -> list[Ask]:
    """Every question the samplers will ask, learned by answering them nothing. Raises BadInput where answers decide."""
    for leg in legs:
        if leg.sampler.adapts:
            raise unforeseen(leg.sampler)
    zero, still = torch.zeros(1), _Still(Space(levels.table))
    answer: Any = Guided(zero, zero)
    run, asks = run_of(legs, zero, levels.kind, lambda _leg: still), []
    question = next(run, None)
    while question is not None:
        asks.append(Ask(question.sigma, question.step))
        try:
            question = run.send(answer)
        except StopIteration:
            question = None
    return asks


def unforeseen(sampler: Sampler) -> BadInput:
    """The sentence for a sampler whose questions are not known before."""
    return BadInput(
        f"The sampler '{sampler.id}' decides on the way how often it asks this model, which runs as a whole "
        "pipeline and wants to know before. Choose another, 'dpmpp_2m' for instance."
    )


@dataclass(frozen=True)
class _Still:
    """No noise at all."""

    space: Space

    def __call__(self, sigma_from: float, sigma_to: float) -> torch.Tensor:
        return torch.zeros(1)

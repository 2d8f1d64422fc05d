"""DPM-Solver of orders one to three, singlestep, along -ln sigma (Lu et al. 2022; k-diffusion's arrangement)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from math import atan, exp, expm1, isfinite, log, sqrt
from typing import Any

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler

_RELATIVE, _ABSOLUTE = 0.05, 0.0078
_FIRST_STEP, _ACCEPTED = 0.05, 0.81
_MOST_STEPS = 200

Asking = Generator[Denoise, Latent, Latent]


@dataclass
class _Step:
    """A step from `start`, a place in -ln sigma, with the noise predictions made for it so far, by place."""

    x: Latent
    start: float
    index: int
    known: dict[float, Latent] = field(default_factory=dict)

    def noise_at(self, x: Latent, place: float) -> Asking:
        """What the model takes for noise in `x`."""
        if place not in self.known:
            denoised = yield Denoise(x, exp(-place), self.index)
            self.known[place] = (x - denoised) * exp(place)
        return self.known[place]

    def first(self, end: float) -> Asking:
        now = yield from self.noise_at(self.x, self.start)
        return self.x - now * (exp(-end) * expm1(end - self.start))

    def second(self, end: float, part: float) -> Asking:
        """By a trial step over `part` (0 to 1) of the way."""
        h = end - self.start
        now = yield from self.noise_at(self.x, self.start)
        trial = yield from self.first(self.start + part * h)
        change = (yield from self.noise_at(trial, self.start + part * h)) - now
        return self.x - now * (exp(-end) * expm1(h)) - change * (exp(-end) / (2 * part) * expm1(h))

    def third(self, end: float) -> Asking:
        """By trial steps over one and two thirds of the way."""
        h = end - self.start
        places = [self.start + h * part for part in (1 / 3, 2 / 3)]
        now = yield from self.noise_at(self.x, self.start)
        trial = yield from self.first(places[0])
        change = (yield from self.noise_at(trial, places[0])) - now
        trial = yield from self.first(places[1])
        trial = trial - change * (2 * exp(-places[1]) * (expm1(2 / 3 * h) / (2 / 3 * h) - 1))
        change = (yield from self.noise_at(trial, places[1])) - now
        return self.x - now * (exp(-end) * expm1(h)) - change * (1.5 * exp(-end) * (expm1(h) / h - 1))


@sampler("dpm_fast", "DPM Fast", order=70, noise="none", accuracy=2, oracle="k-diffusion")
def dpm_fast(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """As many model calls as steps, in even third-order steps of -ln sigma; ends at the last sigma above 0."""
    calls = len(sigmas) - 1
    if calls < 1:
        return x
    if calls == 1 and sigmas[-1] == 0:
        return (yield Denoise(x, sigmas[0], 0))
    start, end = _range(sigmas)
    count = calls // 3 + 1
    orders = [3] * (count - 2) + [2, 1] if calls % 3 == 0 else [3] * (count - 1) + [calls % 3]
    done = 0
    for index, order in enumerate(orders):
        place, goal = (start + (end - start) * number / count for number in (index, index + 1))
        step = _Step(x, place, done)
        run = (step.first(goal), step.second(goal, 0.5), step.third(goal))[order - 1]
        x = yield from _counted(run, done)
        done += order
    return x


@sampler(
    "dpm_adaptive",
    "DPM Adaptive",
    order=80,
    noise="none",
    adapts=True,
    calls="as many as it needs",
    oracle="k-diffusion",
)
def dpm_adaptive(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Third order with steps as long as its error allows; the number of steps asked for only sets where it ends."""
    if len(sigmas) < 2:
        return x
    if len(sigmas) == 2 and sigmas[-1] == 0:
        return (yield Denoise(x, sigmas[0], 0))
    place, end = _range(sigmas)
    shortest = (end - place) / _MOST_STEPS
    before, h = x, _FIRST_STEP
    step = _Step(x, place, 0)
    while place < end - 1e-5:
        goal = min(end, place + h)
        low = yield from step.second(goal, 1 / 3)
        high = yield from step.third(goal)
        factor = 1 + atan((1 / (_error(low, high, before) + 1e-8)) ** (1 / 3) - 1)
        # A model that is not smooth, or answers with no numbers at all, would have it take ever shorter steps.
        if not factor < _ACCEPTED or h <= shortest:
            before, x, place = low, high, goal
            step = _Step(x, place, _index(sigmas, exp(-place)))
        else:
            step = _Step(x, place, step.index, {place: step.known[place]})
        h = max(h * factor, shortest) if isfinite(factor) else end - place
    return x


def _range(sigmas: Sequence[float]) -> tuple[float, float]:
    """First and last place in -ln sigma; a last sigma of 0 is left out."""
    return -log(sigmas[0]), -log(sigmas[-1] or sigmas[-2])


def _index(sigmas: Sequence[float], sigma: float) -> int:
    """The step of the schedule that `sigma` lies in."""
    return max(0, min(len(sigmas) - 2, sum(1 for each in sigmas if each >= sigma * (1 - 1e-9)) - 1))


def _counted(run: Asking, first: int) -> Asking:
    """`run`, whose questions are steps of their own, counted from `first`."""
    answer: Any = None
    while True:
        try:
            question = run.send(answer)
        except StopIteration as end:
            last: Latent = end.value
            return last
        answer = yield Denoise(question.x, question.sigma, first)
        first += 1


def _error(low: Any, high: Any, before: Any) -> float:
    """The root mean square of the difference of two results, in units of what is tolerated at each place."""
    tolerated = _larger(abs(low), abs(before)) * _RELATIVE
    ratio = (low - high) / _larger(tolerated, _ABSOLUTE)
    squares = ratio * ratio
    return sqrt(float(squares.mean() if hasattr(squares, "mean") else squares))


def _larger(one: Any, other: Any) -> Any:
    """The larger of both, element by element, for floats, arrays and tensors alike."""
    return (one + other + abs(one - other)) / 2

"""A data distribution whose denoiser and paths are known in closed form: one Gaussian, in either kind of space.

Everything is linear in x, so `x` may also be a vector of coefficients — of the start and of each noise that was drawn —
and a random sampler's result has an exact variance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from swarm.diffusion.sampler import Denoise, Guided, Latent, Sampler
from swarm.diffusion.sigmas import SigmaTable
from swarm.diffusion.space import Space

SPREAD = 0.7
"""Standard deviation of the data; its mean is 0."""

BETAS = Space(SigmaTable.scaled_linear())
FLOW = Space(SigmaTable.flow(1.0))

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class NoNoise:
    """For samplers that must not ask for noise."""

    space: Space = BETAS

    def __call__(self, sigma_from: float, sigma_to: float) -> Latent:
        raise AssertionError("A deterministic sampler asked for noise.")


@dataclass(frozen=True)
class Silence:
    """Noise that is always 0: what remains of a random sampler is its deterministic part."""

    space: Space = BETAS

    def __call__(self, sigma_from: float, sigma_to: float) -> Latent:
        return 0.0


@dataclass
class Path:
    """Brownian motion over sigma, each fresh piece a unit vector of its own; with `steps`, each call is fresh."""

    space: Space
    size: int
    steps: bool
    drawn: int = 1
    known: dict[float, Vector] = field(default_factory=dict)

    def __call__(self, sigma_from: float, sigma_to: float) -> Latent:
        assert sigma_from >= sigma_to > 0
        if self.steps:
            return self._fresh()
        way = self._at(sigma_from) - self._at(sigma_to)
        return way * (1.0 / sqrt(sigma_from - sigma_to))

    def _fresh(self) -> Vector:
        vector = np.zeros(self.size)
        vector[self.drawn] = 1.0
        self.drawn += 1
        return vector

    def _at(self, sigma: float) -> Vector:
        if sigma not in self.known:
            self.known[sigma] = self._placed(sigma)
        return self.known[sigma]

    def _placed(self, sigma: float) -> Vector:
        above = min((each for each in self.known if each > sigma), default=None)
        below = max((each for each in self.known if each < sigma), default=None)
        if above is None:
            return np.zeros(self.size) if below is None else self.known[below] + self._fresh() * sqrt(sigma - below)
        if below is None:
            return self.known[above] + self._fresh() * sqrt(above - sigma)
        share = (sigma - below) / (above - below)
        bridge = sqrt((sigma - below) * (above - sigma) / (above - below))
        return self.known[below] * (1 - share) + self.known[above] * share + self._fresh() * bridge


def perfect(space: Space, x: Latent, sigma: float) -> Latent:
    """What the Gaussian's own denoiser says."""
    alpha = space.alpha(sigma)
    return x * (alpha * SPREAD**2 / variance(space, sigma))


def variance(space: Space, sigma: float) -> float:
    """Of x at `sigma`."""
    return (space.alpha(sigma) * SPREAD) ** 2 + sigma**2


def drive(sampler: Sampler, x: Latent, sigmas: Sequence[float], noise: NoNoise | Silence | Path) -> tuple[Latent, int]:
    """(last x, number of questions) with the Gaussian's perfect denoiser answering."""
    return answered(sampler, x, sigmas, noise, lambda question: perfect(noise.space, question.x, question.sigma))


def answered(
    sampler: Sampler,
    x: Latent,
    sigmas: Sequence[float],
    noise: NoNoise | Silence | Path,
    answer: Callable[[Denoise], Latent],
) -> tuple[Latent, int]:
    """(last x, number of questions); both prompts say the same."""
    run = sampler.run(x, sigmas, noise)
    questions = 0
    said: Latent | None = None
    while True:
        try:
            question = next(run) if said is None else run.send(said)
        except StopIteration as end:
            last: Latent = end.value
            return last, questions
        questions += 1
        said = answer(question)
        if sampler.wants_unguided:
            said = Guided(said, said)  # type: ignore[assignment]


def exact(space: Space, start: float, sigma: float, target: float) -> float:
    """Where the probability-flow path through `start` at `sigma` is at `target`."""
    return start * sqrt(variance(space, target) / variance(space, sigma))


def falling(steps: int, space: Space = BETAS) -> list[float]:
    """Sigmas evenly spaced in their cube root, ending above 0 so that no last jump hides the order."""
    first, last = (0.95, 0.1) if space.is_flow else (10.0, 0.2)
    a, b = first ** (1 / 3), last ** (1 / 3)
    return [(a + (b - a) * i / steps) ** 3 for i in range(steps + 1)]


def path_error(sampler: Sampler, steps: int, space: Space = BETAS) -> float:
    """How far a deterministic sampler ends from the exact path."""
    sigmas = falling(steps, space)
    end, _ = drive(sampler, 3.0, sigmas, NoNoise(space))
    assert isinstance(end, float)
    return abs(end - exact(space, 3.0, sigmas[0], sigmas[-1]))


def end_variance(sampler: Sampler, sigmas: Sequence[float], space: Space = BETAS) -> float:
    """The exact variance of the sampler's result when it starts from the true distribution at `sigmas[0]`."""
    size = 2 + 4 * len(sigmas)
    start = np.eye(size)[0] * sqrt(variance(space, sigmas[0]))
    end, _ = drive(sampler, start, sigmas, Path(space, size, sampler.noise == "steps"))
    return float(np.sum(np.asarray(end) ** 2))


def variance_error(sampler: Sampler, steps: int, space: Space = BETAS) -> float:
    sigmas = falling(steps, space)
    return abs(end_variance(sampler, sigmas, space) - variance(space, sigmas[-1]))

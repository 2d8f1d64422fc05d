"""A data distribution whose denoiser and paths are known in closed form: one Gaussian.

Everything is linear in x, so `x` may also be a vector of coefficients — of the start and of each noise that was drawn —
and a random sampler's result has an exact variance.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from swarm.diffusion.sampler import Latent, Noise, Sampler

SPREAD = 0.7
"""Standard deviation of the data; its mean is 0."""


def drive(sampler: Sampler, x: Latent, sigmas: Sequence[float], noise: Noise) -> tuple[Latent, int]:
    """(last x, number of questions) with the Gaussian's perfect denoiser answering."""
    run = sampler.run(x, sigmas, noise)
    questions = 0
    answer: Latent | None = None
    while True:
        try:
            question = next(run) if answer is None else run.send(answer)
        except StopIteration as end:
            last: Latent = end.value
            return last, questions
        questions += 1
        answer = question.x * (SPREAD**2 / (SPREAD**2 + question.sigma**2))


def no_noise(sigma: float, target: float) -> Latent:
    raise AssertionError("A deterministic sampler asked for noise.")


def exact(start: float, sigma: float, target: float) -> float:
    """Where the probability-flow path through `start` at `sigma` is at `target`."""
    return start * sqrt((SPREAD**2 + target**2) / (SPREAD**2 + sigma**2))


def falling(steps: int, first: float = 10.0, last: float = 0.2) -> list[float]:
    """Sigmas evenly spaced in their cube root, ending above 0 so that no last jump hides the order."""
    a, b = first ** (1 / 3), last ** (1 / 3)
    return [(a + (b - a) * i / steps) ** 3 for i in range(steps + 1)]


def path_error(sampler: Sampler, steps: int) -> float:
    """How far a deterministic sampler ends from the exact path."""
    sigmas = falling(steps)
    end, _ = drive(sampler, 3.0, sigmas, no_noise)
    assert isinstance(end, float)
    return abs(end - exact(3.0, sigmas[0], sigmas[-1]))


def end_variance(sampler: Sampler, sigmas: Sequence[float]) -> float:
    """The exact variance of the sampler's result when it starts from the true distribution at `sigmas[0]`."""
    size = 1 + 4 * len(sigmas)
    drawn = iter(range(1, size))

    def noise(sigma: float, target: float) -> NDArray[np.float64]:
        assert sigma > target > 0
        vector = np.zeros(size)
        vector[next(drawn)] = 1.0
        return vector

    start = np.eye(size)[0] * sqrt(SPREAD**2 + sigmas[0] ** 2)
    end, _ = drive(sampler, start, sigmas, noise)
    return float(np.sum(np.asarray(end) ** 2))


def variance_error(sampler: Sampler, steps: int) -> float:
    sigmas = falling(steps)
    return abs(end_variance(sampler, sigmas) - (SPREAD**2 + sigmas[-1] ** 2))

"""Extended reverse-time SDE solver (Cui et al. 2023) of third order."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, sqrt

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler

_POINTS = 200


@sampler("er_sde", "ER-SDE-Solver", order=280, accuracy=1, flow_aware=True)
def er_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Between ODE and SDE: adds some noise, extrapolates the last three predictions. One model call a step."""
    space = noise.space
    sigmas = space.with_signal(sigmas)
    ratios = [exp(-space.half_log_snr(sigma)) for sigma in sigmas]  # of noise to signal; 0 at the end
    before: tuple[Latent, Latent | None] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        now, goal = ratios[step], ratios[step + 1]
        share, alpha = _amount(goal) / _amount(now), space.alpha(nxt)
        x = x * (alpha / space.alpha(sigma) * share) + denoised * (alpha * (1 - share))
        slope: Latent | None = None
        if before is not None:
            old, old_slope = before
            slope = (denoised - old) * (1 / (now - ratios[step - 1]))
            first, second = _integrals(now, goal)
            x = x + slope * (alpha * (goal - now + first * _amount(goal)))
            if old_slope is not None:
                bend = (slope - old_slope) * (2 / (now - ratios[step - 2]))
                x = x + bend * (alpha * ((goal - now) ** 2 / 2 + second * _amount(goal)))
        x = x + noise(sigma, nxt) * (alpha * sqrt(max(goal**2 - (now * share) ** 2, 0.0)))
        before = denoised, slope
    return x


def _amount(ratio: float) -> float:
    """How noise is scaled at a ratio of noise to signal: the paper's fifth choice, between the ODE's and the SDE's."""
    return ratio * (exp(ratio**0.3) + 10.0)


def _integrals(now: float, goal: float) -> tuple[float, float]:
    """Of 1 / amount and of (ratio - now) / amount from `goal` to `now`.

    By the published sum of left ends, whose error makes the method first-order in the end, if a small first order.
    """
    width = (now - goal) / _POINTS
    places = [goal + width * index for index in range(_POINTS)]
    inverse = [1 / _amount(place) for place in places]
    return width * sum(inverse), width * sum((place - now) * each for place, each in zip(places, inverse, strict=True))

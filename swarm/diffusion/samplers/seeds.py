"""SEEDS: exponential stochastic solvers (Gonzalez et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("seeds_2", "SEEDS 2", order=290)
def seeds_2(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Two stages a step along the reverse-time SDE, both driven by one Brownian path. Two model calls a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = log(sigma / nxt)
        middle = sqrt(sigma * nxt)
        first = noise(sigma, middle) * sqrt(-expm1(-h))
        trial = x * (middle / sigma * exp(-h / 2)) - denoised * expm1(-h) + first * middle
        corrected = yield Denoise(trial, middle, step)
        second = noise(middle, nxt) * sqrt(-expm1(-h))
        x = x * (nxt / sigma * exp(-h)) - corrected * expm1(-2 * h) + (first * exp(-h / 2) + second) * nxt
    return x

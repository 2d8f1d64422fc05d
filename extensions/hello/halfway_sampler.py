"""A sampler: the midpoint method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.ext import Denoise, Latent, Noise, SamplerRun, sampler, towards


@sampler("hello_halfway", "Halfway (Hello)")
def halfway(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second order: a trial step to the middle of each step gives the slope for all of it. Two model calls a step."""
    for step, (sigma, following) in enumerate(pairwise(sigmas)):
        middle = (sigma + following) / 2
        trial = towards(x, (yield Denoise(x, sigma, step)), sigma, middle)
        slope = (trial - (yield Denoise(trial, middle, step))) * (1 / middle)
        x = x + slope * (following - sigma)
    return x

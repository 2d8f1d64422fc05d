"""Heun's method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("heun", "Heun", order=20, noise="none", accuracy=2, calls="2", oracle="k-diffusion")
def heun(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second-order: an Euler step, corrected by the slope at its end (Karras et al. 2022, algorithm 1)."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        slope = (x - (yield Denoise(x, sigma, step))) * (1 / sigma)
        trial = x + slope * (nxt - sigma)
        if nxt == 0:
            x = trial
        else:
            end = (trial - (yield Denoise(trial, nxt, step))) * (1 / nxt)
            x = x + (slope + end) * ((nxt - sigma) / 2)
    return x

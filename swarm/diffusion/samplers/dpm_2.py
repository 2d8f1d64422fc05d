"""DPM-Solver-2 as Karras et al. 2022 adapted it: a half step to the geometric middle, then the whole step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from swarm.diffusion.ancestral import renoise, split, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, eta: float) -> SamplerRun:
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        part = split(noise.space, sigma, nxt, eta)
        denoised = yield Denoise(x, sigma, step)
        if part.down == 0:
            x = denoised
        else:
            middle = sqrt(sigma * part.down)
            trial = towards(x, denoised, sigma, middle)
            slope = (trial - (yield Denoise(trial, middle, step))) * (1 / middle)
            x = x + slope * (part.down - sigma)
        x = renoise(x, noise, sigma, nxt, part.up, part.keep)
    return x


@sampler(
    "dpm_2",
    "DPM-2",
    order=40,
    noise="none",
    discards_penultimate=True,
    accuracy=2,
    calls="2",
    oracle="k-diffusion",
)
def dpm_2(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second-order: the slope in the middle of the step carries the whole step. Two model calls a step."""
    return (yield from _run(x, sigmas, noise, eta=0.0))


@sampler(
    "dpm_2_ancestral",
    "DPM-2 Ancestral",
    order=50,
    discards_penultimate=True,
    accuracy=2,
    calls="2",
    flow_aware=True,
    oracle="k-diffusion",
)
def dpm_2_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM-2 that overshoots and adds fresh noise at each step."""
    return (yield from _run(x, sigmas, noise, eta=1.0))

"""Denoising diffusion probabilistic models (Ho et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import ancestral_split, renoise, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("ddpm", "DDPM", order=180, accuracy=1, oracle="its closed form")
def ddpm(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """The original reverse diffusion, whose mean and variance are those of Euler Ancestral for beta schedules."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt)
        x = towards(x, (yield Denoise(x, sigma, step)), sigma, down)
        x = renoise(x, noise, sigma, nxt, up)
    return x

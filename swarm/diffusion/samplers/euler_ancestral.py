"""Euler steps with fresh noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import renoise, split, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler(
    "euler_ancestral",
    "Euler Ancestral",
    order=10,
    accuracy=1,
    flow_aware=True,
    oracle="k-diffusion",
)
def euler_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler steps that overshoot and add fresh noise at each step: more variety, never settles."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        part = split(noise.space, sigma, nxt)
        x = towards(x, (yield Denoise(x, sigma, step)), sigma, part.down)
        x = renoise(x, noise, sigma, nxt, part.up, part.keep)
    return x

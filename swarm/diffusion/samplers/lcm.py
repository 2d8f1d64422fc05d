"""Sampling of latent consistency models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("lcm", "LCM", order=190, flow_aware=True)
def lcm(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Jump to the prediction, add noise for the next level, and again. For models distilled to need few steps."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        x = yield Denoise(x, sigma, step)
        x = renoise(x, noise, sigma, nxt, nxt, noise.space.alpha(nxt))
    return x

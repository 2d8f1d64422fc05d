"""Euler steps with fresh noise, and the two other names of the same step."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import ancestral_split, renoise, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, Sampler, SamplerRun, sampler


@sampler("euler_ancestral", "Euler Ancestral", order=10)
def euler_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler steps that overshoot and add fresh noise at each step: more variety, never settles."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt)
        x = towards(x, (yield Denoise(x, sigma, step)), sigma, down)
        x = renoise(x, noise, sigma, nxt, up)
    return x


ddpm = Sampler(
    id="ddpm",
    name="DDPM",
    order=180,
    run=euler_ancestral.run,
    doc="The original reverse diffusion. Its posterior mean and variance are exactly those of Euler Ancestral.",
)

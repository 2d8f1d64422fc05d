"""The plain first-order step, under its two names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from swarm.diffusion.ancestral import towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("euler", "Euler", order=0, noise="none", accuracy=1, oracle="k-diffusion")
def euler(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """First-order steps along the probability-flow ODE. Simple, predictable, one model call a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        x = towards(x, (yield Denoise(x, sigma, step)), sigma, nxt)
    return x


ddim = replace(
    euler,
    id="ddim",
    name="DDIM",
    order=170,
    oracle="Euler",
    doc="Denoising Diffusion Implicit Models without added noise: in this formulation the same steps as Euler.",
)

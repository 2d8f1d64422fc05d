"""Gradient estimation (Permenter and Yuan 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler

_GAMMA = 2.0


@sampler("gradient_estimation", "Gradient Estimation", order=270)
def gradient_estimation(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler whose slope is pushed on by the change since the last step; one model call a step."""
    before: Latent | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slope = (x - denoised) * (1 / sigma)
        x = towards(x, denoised, sigma, nxt)
        if before is not None:
            x = x + (slope - before) * ((_GAMMA - 1) * (nxt - sigma))
        before = slope
    return x

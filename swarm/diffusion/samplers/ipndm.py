"""Improved pseudo numerical methods for diffusion models."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted

_ADAMS_BASHFORTH = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


@sampler("ipndm", "iPNDM", order=240)
def ipndm(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Extrapolates up to four slopes as if steps were even (Zhang and Chen 2022); one model call a step."""
    slopes: list[Latent] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slopes = [(x - denoised) * (1 / sigma), *slopes[:3]]
        factors = _ADAMS_BASHFORTH[len(slopes) - 1]
        x = x + weighted(list(zip(factors, slopes, strict=True))) * (nxt - sigma)
    return x

"""Linear multistep methods: the slopes of the last steps, extrapolated over the next one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

from swarm.diffusion.linear import integral, lagrange
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted

_ORDER = 4


@sampler("lms", "LMS", order=60, noise="none", accuracy=2, oracle="k-diffusion")
def lms(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Fourth-order Adams-Bashforth for uneven steps; one model call a step (Katherine Crowson's k-diffusion)."""
    slopes: list[Latent] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slopes = [(x - denoised) * (1 / sigma), *slopes[: _ORDER - 1]]
        nodes = [sigmas[step - age] for age in range(len(slopes))]
        weights = (integral(partial(lagrange, nodes, age), sigma, nxt) for age in range(len(slopes)))
        x = x + weighted(list(zip(weights, slopes, strict=True)))
    return x

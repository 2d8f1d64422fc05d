"""Linear multistep methods: the slopes of the last steps, extrapolated over the next one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import prod, sqrt

from swarm.diffusion.sampler import Denoise, Latent, Noise, Sampler, SamplerRun, sampler, weighted

_ORDER = 4


@sampler("lms", "LMS", order=60)
def lms(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Fourth-order Adams-Bashforth for uneven steps; one model call a step (Katherine Crowson's k-diffusion)."""
    slopes: list[Latent] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slopes = [(x - denoised) * (1 / sigma), *slopes[: _ORDER - 1]]
        nodes = [sigmas[step - age] for age in range(len(slopes))]
        x = x + weighted([(lagrange_integral(nodes, age, sigma, nxt), slope) for age, slope in enumerate(slopes)])
    return x


ipndm_v = Sampler(
    id="ipndm_v",
    name="iPNDM-V",
    order=250,
    run=lms.run,
    doc="iPNDM for uneven steps (Zhang and Chen 2022), whose coefficients are those of LMS.",
)


def lagrange_integral(nodes: Sequence[float], index: int, start: float, end: float) -> float:
    """The integral from start to end of the polynomial that is 1 at nodes[index] and 0 at the other nodes.

    Two-point Gauss quadrature: exact up to degree three, that is for up to four nodes.
    """
    others = [node for place, node in enumerate(nodes) if place != index]
    middle, reach = (start + end) / 2, (end - start) / 2
    points = (middle - reach / sqrt(3), middle + reach / sqrt(3))
    return reach * sum(prod((point - other) / (nodes[index] - other) for other in others) for point in points)

"""DEIS: exponential integrator with polynomials in the diffusion time (Zhang and Chen 2022), tAB form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from math import expm1, log, sqrt

from swarm.diffusion.linear import integral, lagrange
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted

_ORDER = 3
_PANELS = 8
_SUMMED = 10_000
_EPSILON, _LOW, _HIGH = 1e-3, log(0.002**2 + 1), log(80.0**2 + 1)
_SLOPE = 2 * (_LOW / _EPSILON - _HIGH) / (_EPSILON - 1)
_BETA = _HIGH - _SLOPE / 2


@sampler("deis", "DEIS", order=260, noise="none", accuracy=2, oracle="exact integrals")
def deis(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Extrapolates up to three slopes by polynomials in the time of a linear beta schedule; one model call a step."""
    slopes: list[Latent] = []
    times = [time_of(sigma) for sigma in sigmas]
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slopes = [(x - denoised) * (1 / sigma), *slopes[: _ORDER - 1]]
        if len(slopes) == 1:
            x = x + slopes[0] * (nxt - sigma)
            continue
        nodes = [times[step - age] for age in range(len(slopes))]
        weights = (_summed(partial(_part, nodes, age), times[step], times[step + 1]) for age in range(len(slopes)))
        x = x + weighted(list(zip(weights, slopes, strict=True)))
    return x


def time_of(sigma: float) -> float:
    """The time (1 is sigma 80, 0.001 is sigma 0.002) in a schedule whose beta rises linearly."""
    return (sqrt(_BETA**2 + 2 * _SLOPE * log(sigma**2 + 1)) - _BETA) / _SLOPE


def _summed(function: Callable[[float], float], start: float, end: float) -> float:
    """The integral as the published sum makes it: 10,000 values, both ends among them, each over a 10,000th."""
    edges = [start + (end - start) * panel / _PANELS for panel in range(_PANELS + 1)]
    exact = sum(integral(function, low, high) for low, high in pairwise(edges))
    ends = (function(start) + function(end)) / 2 * (end - start)
    return exact + (ends - exact) / _SUMMED


def _part(nodes: Sequence[float], index: int, time: float) -> float:
    """What the slope at nodes[index] adds at `time`: its polynomial, times the rate at which sigma grows."""
    grown = expm1(_SLOPE * time**2 / 2 + _BETA * time)  # sigma²
    return lagrange(nodes, index, time) * (_SLOPE * time + _BETA) * (grown + 1) / (2 * sqrt(grown))

"""Improved pseudo numerical methods for diffusion models (Zhang and Chen 2022)."""

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


def _run(x: Latent, sigmas: Sequence[float], *, uneven: bool) -> SamplerRun:
    slopes: list[Latent] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        slopes = [(x - denoised) * (1 / sigma), *slopes[:3]]
        factors: Sequence[float] = _ADAMS_BASHFORTH[len(slopes) - 1]
        if uneven:
            factors = uneven_factors(list(sigmas[step + 1 - len(slopes) : step + 2]))
        x = x + weighted(list(zip(factors, slopes, strict=True))) * (nxt - sigma)
    return x


@sampler("ipndm", "iPNDM", order=240, noise="none", accuracy=2, oracle="Adams-Bashforth coefficients")
def ipndm(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Extrapolates up to four slopes as if steps were even; one model call a step."""
    return (yield from _run(x, sigmas, uneven=False))


@sampler("ipndm_v", "iPNDM-V", order=250, noise="none", accuracy=2, oracle="the published coefficients")
def ipndm_v(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """iPNDM that takes the lengths of uneven steps into account."""
    return (yield from _run(x, sigmas, uneven=True))


def uneven_factors(sigmas: Sequence[float]) -> list[float]:
    """Weights of the slopes, newest first, for the step to `sigmas[-1]`; slopes stand at the up to four before it.

    For up to three even steps they are those of Adams and Bashforth. Otherwise the published ones are not: a bracket
    is missing in `bend`, a sum in `twist` should be a difference, and h_1 / h_2 stands for h_2 / h_3 in the last.
    Kept: everybody's pictures are made with them.
    """
    h, *past = [later - earlier for earlier, later in pairwise(sigmas)][::-1]
    if not past:
        return [1.0]
    h_1, *past = past
    factors = [(2 + h / h_1) / 2, -h / h_1 / 2]
    if not past:
        return factors
    h_2, *past = past
    bend = (1 - h**2 / (3 * h_1 * (h_1 + h_2))) / 2
    second = [1.0, -(1 + h_1 / h_2), h_1 / h_2]
    factors = [factor + bend * share for factor, share in zip([*factors, 0.0], second, strict=True)]
    if not past:
        return factors
    (h_3,) = past
    twist = (1 - h / (3 * (h + h_1))) / 2 + (1 - h / (2 * (h + h_1))) * h / (6 * (h + h_1 + h_2))
    twist *= h * (h + h_1) * (h + h_1 + h_2) / (h_1 * (h_1 + h_2) * (h_1 + h_2 + h_3))
    older = h_1 * (h_1 + h_2) / (h_2 * (h_2 + h_3))
    third = [1.0, -(1 + h_1 / h_2 + older), h_1 / h_2 + older * (1 + h_2 / h_3), -older * h_1 / h_2]
    return [factor + twist * share for factor, share in zip([*factors, 0.0], third, strict=True)]

"""UniPC: a unified predictor-corrector (Zhao et al. 2023), data prediction, orders up to three."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, factorial, log

from swarm.diffusion.linear import solved
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted

_ORDER = 3
_NEARLY_CLEAN = 0.001  # the method divides by sigma: a last step to 0 goes here, as in everybody's pictures


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, bh2: bool) -> SamplerRun:
    """Each prediction corrects the step that led to it, then the next step is predicted from the last few.

    The order rises over the first steps and falls over the last ones, which is of first order.
    """
    steps = len(sigmas) - 1
    cleaned = steps > 0 and sigmas[-1] == 0
    if cleaned:
        sigmas = [*sigmas[:-1], _NEARLY_CLEAN]
    past: list[tuple[float, Latent]] = []  # (-ln sigma, prediction), newest first
    start, order = x, 0
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if past:
            x = _step(start, sigmas[step - 1], sigma, past[:order], denoised, bh2=bh2)
        past = [(-log(sigma), denoised), *past[: _ORDER - 1]]
        start, order = x, min(len(past), steps - step, max(steps - 1, 1))
        x = _step(start, sigma, nxt, past[:order], None, bh2=bh2)
    # What is left of a flow model's noise has faded the picture by as much.
    return x * (1.0 / noise.space.alpha(_NEARLY_CLEAN)) if cleaned and noise.space.is_flow else x


@sampler(
    "uni_pc",
    "UniPC",
    order=200,
    noise="none",
    discards_penultimate=True,
    keeps_range=True,
    accuracy=2,
    oracle="diffusers UniPCMultistep",
)
def uni_pc(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Predictor and corrector of up to third order with one model call a step; good at few steps."""
    return (yield from _run(x, sigmas, noise, bh2=False))


@sampler(
    "uni_pc_bh2",
    "UniPC BH2",
    order=210,
    noise="none",
    discards_penultimate=True,
    keeps_range=True,
    accuracy=2,
    oracle="diffusers UniPCMultistep",
)
def uni_pc_bh2(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """UniPC with the exponential form of its step weight; the better one at guidance as it is commonly used."""
    return (yield from _run(x, sigmas, noise, bh2=True))


def _step(
    x: Latent,
    sigma: float,
    target: float,
    past: Sequence[tuple[float, Latent]],
    ahead: Latent | None,
    *,
    bh2: bool,
) -> Latent:
    """From `sigma` to `target`. `past[0]` is the prediction at `sigma`; `ahead` the one at `target`, if it is known."""
    (place, now), *older = past
    h = log(sigma / target)
    b_h = expm1(-h) if bh2 else -h
    ratios = [(other - place) / h for other, _ in older]
    differences = [(prediction - now) * (1 / ratio) for ratio, (_, prediction) in zip(ratios, older, strict=True)]
    if ahead is not None:
        ratios.append(1.0)
        differences.append(ahead - now)
    weights = _weights(ratios, h, b_h)
    terms = [(target / sigma, x), (-expm1(-h), now)]
    return weighted([*terms, *((-b_h * weight, change) for weight, change in zip(weights, differences, strict=True))])


def _weights(ratios: Sequence[float], h: float, b_h: float) -> list[float]:
    """Weights that integrate polynomials of -ln sigma exactly; a single one is 1/2 whatever h, as in the paper."""
    count = len(ratios)
    if count == 1:
        return [0.5]
    phi = expm1(-h) / -h - 1.0
    wanted = []
    for power in range(1, count + 1):
        wanted.append(phi * factorial(power) / b_h)
        phi = phi / -h - 1.0 / factorial(power + 1)
    return solved([[ratio ** (power - 1) for ratio in ratios] for power in range(1, count + 1)], wanted)

"""Exponential integrators in stages: SEEDS (Gonzalez et al. 2023) and Heun's method in their form."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, sqrt

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted
from swarm.diffusion.space import Space


def _run(
    x: Latent, sigmas: Sequence[float], noise: Noise, *, places: Sequence[float], eta: float, exact: bool
) -> SamplerRun:
    """`places`: where in a step the stages after the first stand, in ln(alpha / sigma), 0 to 1.

    One Brownian path drives all stages of a step, in pieces from stage to stage. `eta` 1 follows the reverse-time SDE,
    0 the ODE without noise. `exact`: the last stage weighs the first and the last prediction by exponential weights.
    """
    space = noise.space
    sigmas = space.with_signal(sigmas)
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        predictions = [(yield Denoise(x, sigma, step))]
        if nxt == 0:
            return predictions[0]
        start = space.half_log_snr(sigma)
        h = space.half_log_snr(nxt) - start
        path: Latent | None = None
        at, place = sigma, 0.0
        trial = x
        for index, goal in enumerate((*places, 1.0)):
            target = nxt if goal == 1.0 else space.sigma_at(start + goal * h)
            weights = _weights((1 + eta) * h, goal, places[:index], exact=exact)
            trial = _stage(space, x, predictions, weights, sigma, target, goal * h * eta)
            if eta > 0:
                piece = noise(at, target) * sqrt(-expm1(-2 * (goal - place) * h * eta))
                path = piece if path is None else path * exp((place - goal) * h * eta) + piece
                trial = trial + path * target
            at, place = target, goal
            if index < len(places):
                predictions.append((yield Denoise(trial, target, step)))
        x = trial
    return x


def _weights(h: float, goal: float, stages: Sequence[float], *, exact: bool) -> list[float]:
    """Of each prediction so far, for the way from the step's start to `goal`. `h`: decay over the whole step."""
    whole = -expm1(-goal * h)
    if not stages:
        return [whole]
    between = [0.0] * (len(stages) - 1)
    if not exact:
        share = goal / (2 * stages[-1])
        return [whole * (1 - share), *between, whole * share]
    last = (1 - whole / (goal * h)) * goal / stages[-1]
    return [whole - last, *between, last]


def _stage(
    space: Space,
    x: Latent,
    predictions: Sequence[Latent],
    weights: Sequence[float],
    sigma: float,
    target: float,
    decay: float,
) -> Latent:
    alpha = space.alpha(target)
    parts = [(alpha * weight, prediction) for weight, prediction in zip(weights, predictions, strict=True) if weight]
    return weighted([(target / sigma * exp(-decay), x), *parts])


@sampler(
    "seeds_2",
    "SEEDS 2",
    order=290,
    accuracy=2,
    calls="2",
    flow_aware=True,
)
def seeds_2(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Two stages a step along the reverse-time SDE, both driven by one Brownian path. Two model calls a step."""
    return (yield from _run(x, sigmas, noise, places=(0.5,), eta=1.0, exact=False))


@sampler(
    "seeds_3",
    "SEEDS 3",
    order=300,
    accuracy=2,
    calls="3",
    flow_aware=True,
)
def seeds_3(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Three stages a step along the reverse-time SDE. Three model calls a step."""
    return (yield from _run(x, sigmas, noise, places=(1 / 3, 2 / 3), eta=1.0, exact=True))


@sampler(
    "exp_heun_2_x0",
    "EXP Heun 2 x0",
    order=330,
    noise="none",
    accuracy=2,
    calls="2",
    flow_aware=True,
)
def exp_heun_2_x0(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Heun's method with the exact weights of an exponential integrator. Two model calls a step."""
    return (yield from _run(x, sigmas, noise, places=(1.0,), eta=0.0, exact=True))


@sampler(
    "exp_heun_2_x0_sde",
    "EXP Heun 2 x0 SDE",
    order=340,
    accuracy=2,
    calls="2",
    flow_aware=True,
)
def exp_heun_2_x0_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """EXP Heun 2 x0 along the reverse-time SDE, with fresh noise at each step. Two model calls a step."""
    return (yield from _run(x, sigmas, noise, places=(1.0,), eta=1.0, exact=True))

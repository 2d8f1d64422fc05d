"""SDE-DPM-Solver++ of second order, multistep, in its two correction forms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt

from swarm.diffusion.ancestral import renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, midpoint: bool) -> SamplerRun:
    """eta is 1: with h = ln(sigma / next) the step decays over 2h, and the noise keeps next's variance."""
    before: tuple[Latent, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = log(sigma / nxt)
        grown = -expm1(-2 * h)
        x = x * (nxt / sigma * exp(-h)) + denoised * grown
        if before is not None:
            old, h_before = before
            correction = 0.5 * grown if midpoint else 1 - grown / (2 * h)
            x = x + (denoised - old) * (correction * h / h_before)
        x = renoise(x, noise, sigma, nxt, nxt * sqrt(grown))
        before = denoised, h
    return x


@sampler("dpmpp_2m_sde", "DPM++ 2M SDE", order=130)
def dpmpp_2m_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2M along the reverse-time SDE: fresh noise at each step, midpoint correction, one model call a step."""
    return (yield from _run(x, sigmas, noise, midpoint=True))


@sampler("dpmpp_2m_sde_gpu", "DPM++ 2M SDE, GPU Seeded", order=140)
def dpmpp_2m_sde_gpu(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """The same steps as DPM++ 2M SDE; kept for requests that name it. Where noise is drawn is the engine's choice."""
    return (yield from _run(x, sigmas, noise, midpoint=True))


@sampler("dpmpp_2m_sde_heun", "DPM++ 2M SDE Heun", order=350)
def dpmpp_2m_sde_heun(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2M SDE with the correction of Heun's method instead of the midpoint's."""
    return (yield from _run(x, sigmas, noise, midpoint=False))


@sampler("dpmpp_2m_sde_heun_gpu", "DPM++ 2M SDE Heun, GPU Seeded", order=360)
def dpmpp_2m_sde_heun_gpu(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """The same steps as DPM++ 2M SDE Heun; kept for requests that name it."""
    return (yield from _run(x, sigmas, noise, midpoint=False))

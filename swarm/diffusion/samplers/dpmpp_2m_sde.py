"""SDE-DPM-Solver++ of second order, multistep, in its two correction forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, expm1, sqrt

from swarm.diffusion.ancestral import renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, midpoint: bool) -> SamplerRun:
    """eta is 1: with h the growth of ln(alpha / sigma) a step decays over 2h, and noise keeps next's variance."""
    space = noise.space
    sigmas = space.with_signal(sigmas)
    before: tuple[Latent, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = space.half_log_snr(nxt) - space.half_log_snr(sigma)
        grown = -expm1(-2 * h)
        alpha = space.alpha(nxt)
        x = x * (nxt / sigma * exp(-h)) + denoised * (alpha * grown)
        if before is not None:
            old, h_before = before
            correction = 0.5 * grown if midpoint else 1 - grown / (2 * h)
            x = x + (denoised - old) * (alpha * correction * h / h_before)
        x = renoise(x, noise, sigma, nxt, nxt * sqrt(grown))
        before = denoised, h
    return x


@sampler(
    "dpmpp_2m_sde",
    "DPM++ 2M SDE",
    order=130,
    noise="brownian",
    accuracy=2,
    flow_aware=True,
    oracle="k-diffusion, diffusers DPMSolverMultistep",
)
def dpmpp_2m_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2M along the reverse-time SDE: fresh noise at each step, midpoint correction, one model call a step."""
    return (yield from _run(x, sigmas, noise, midpoint=True))


@sampler(
    "dpmpp_2m_sde_heun",
    "DPM++ 2M SDE Heun",
    order=350,
    noise="brownian",
    accuracy=2,
    flow_aware=True,
    oracle="k-diffusion, diffusers DPMSolverMultistep",
)
def dpmpp_2m_sde_heun(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2M SDE with the correction of Heun's method instead of the midpoint's."""
    return (yield from _run(x, sigmas, noise, midpoint=False))


dpmpp_2m_sde_gpu = replace(
    dpmpp_2m_sde,
    id="dpmpp_2m_sde_gpu",
    name="DPM++ 2M SDE, GPU Seeded",
    order=140,
    noise="brownian-device",
    oracle="DPM++ 2M SDE",
    doc="The same steps as DPM++ 2M SDE, with noise drawn on the model's device.",
)
dpmpp_2m_sde_heun_gpu = replace(
    dpmpp_2m_sde_heun,
    id="dpmpp_2m_sde_heun_gpu",
    name="DPM++ 2M SDE Heun, GPU Seeded",
    order=360,
    noise="brownian-device",
    oracle="DPM++ 2M SDE Heun",
    doc="The same steps as DPM++ 2M SDE Heun, with noise drawn on the model's device.",
)

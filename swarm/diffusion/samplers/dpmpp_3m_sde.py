"""SDE-DPM-Solver++ of third order, multistep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp, expm1, sqrt

from swarm.diffusion.ancestral import renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler, weighted


@sampler(
    "dpmpp_3m_sde",
    "DPM++ 3M SDE",
    order=150,
    noise="brownian",
    accuracy=2,
    flow_aware=True,
    oracle="k-diffusion",
)
def dpmpp_3m_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Along the reverse-time SDE, extrapolating the last three predictions. One model call a step; wants many steps."""
    space = noise.space
    sigmas = space.with_signal(sigmas)
    past: list[tuple[Latent, float]] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = space.half_log_snr(nxt) - space.half_log_snr(sigma)
        alpha = space.alpha(nxt)
        changes = [(-expm1(-2 * h), denoised), *_corrections(denoised, past, h)]
        terms = [(nxt / sigma * exp(-h), x), *((alpha * factor, latent) for factor, latent in changes)]
        x = renoise(weighted(terms), noise, sigma, nxt, nxt * sqrt(-expm1(-2 * h)))
        past = [(denoised, h), *past[:1]]
    return x


def _corrections(denoised: Latent, past: Sequence[tuple[Latent, float]], h: float) -> list[tuple[float, Latent]]:
    """What first and second differences of the predictions add. `past`: (prediction, its step's h), newest first."""
    phi_2 = 1 + expm1(-2 * h) / (2 * h)
    if not past:
        return []
    newest, h_1 = past[0]
    slope = (denoised - newest) * (h / h_1)
    if len(past) == 1:
        return [(phi_2, slope)]
    older, h_2 = past[1]
    r_0, r_1 = h_1 / h, h_2 / h
    bend = (slope - (newest - older) * (1 / r_1)) * (1 / (r_0 + r_1))
    # The published weight of the bend is half of what parabolas need. Kept: everybody's pictures are made with it.
    phi_3 = phi_2 / (2 * h) - 0.5
    return [(phi_2, slope + bend * r_0), (-phi_3, bend)]


dpmpp_3m_sde_gpu = replace(
    dpmpp_3m_sde,
    id="dpmpp_3m_sde_gpu",
    name="DPM++ 3M SDE, GPU Seeded",
    order=160,
    noise="brownian-device",
    oracle="DPM++ 3M SDE",
    doc="The same steps as DPM++ 3M SDE, with noise drawn on the model's device.",
)

"""SDE-DPM-Solver++ of third order, multistep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import exp, expm1, log, sqrt

from swarm.diffusion.ancestral import renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, Sampler, SamplerRun, sampler, weighted


@sampler("dpmpp_3m_sde", "DPM++ 3M SDE", order=150)
def dpmpp_3m_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Along the reverse-time SDE, extrapolating the last three predictions. One model call a step; wants many steps."""
    past: list[tuple[Latent, float]] = []
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = log(sigma / nxt)
        terms = [(nxt / sigma * exp(-h), x), (-expm1(-2 * h), denoised), *_corrections(denoised, past, h)]
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


dpmpp_3m_sde_gpu = Sampler(
    id="dpmpp_3m_sde_gpu",
    name="DPM++ 3M SDE, GPU Seeded",
    order=160,
    run=dpmpp_3m_sde.run,
    doc="The same steps as DPM++ 3M SDE; kept for requests that name it. Where noise is drawn is the engine's choice.",
)

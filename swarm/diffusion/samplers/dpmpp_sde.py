"""SDE-DPM-Solver++ of second order, singlestep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import sqrt

from swarm.diffusion.ancestral import ancestral_split, renoise, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, Sampler, SamplerRun, sampler


@sampler("dpmpp_sde", "DPM++ SDE", order=100)
def dpmpp_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Follows the reverse-time SDE through the middle of each step. Two model calls a step; strong at few steps."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        middle = sqrt(sigma * nxt)
        down, up = ancestral_split(sigma, middle)
        trial = renoise(towards(x, denoised, sigma, down), noise, sigma, middle, up)
        corrected = yield Denoise(trial, middle, step)
        down, up = ancestral_split(sigma, nxt)
        x = renoise(towards(x, corrected, sigma, down), noise, sigma, nxt, up)
    return x


dpmpp_sde_gpu = Sampler(
    id="dpmpp_sde_gpu",
    name="DPM++ SDE, GPU Seeded",
    order=110,
    run=dpmpp_sde.run,
    doc="The same steps as DPM++ SDE; kept for requests that name it. Where noise is drawn is the engine's choice.",
)

"""DPM-Solver++ of second order, multistep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler(
    "dpmpp_2m", "DPM++ 2M", order=120, noise="none", accuracy=2, oracle="k-diffusion, diffusers DPMSolverMultistep"
)
def dpmpp_2m(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second-order for one model call a step: the last step's prediction extrapolates this one's (Lu et al. 2022)."""
    before: tuple[Latent, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        h = log(sigma / nxt)
        aim = denoised
        if before is not None:
            old, h_before = before
            aim = denoised + (denoised - old) * (h / (2 * h_before))
        x = x * (nxt / sigma) - aim * expm1(-h)
        before = denoised, h
    return x

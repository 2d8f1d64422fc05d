"""DPM-Solver++ of second order, singlestep, with fresh noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log, sqrt

from swarm.diffusion.ancestral import ancestral_split, renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("dpmpp_2s_ancestral", "DPM++ 2S Ancestral", order=90)
def dpmpp_2s_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Predicts in the middle of each step, overshoots with that and adds noise. Two model calls a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt)
        denoised = yield Denoise(x, sigma, step)
        if down == 0:
            x = denoised
        else:
            middle, h = sqrt(sigma * down), log(sigma / down)
            trial = x * (middle / sigma) - denoised * expm1(-h / 2)
            x = x * (down / sigma) - (yield Denoise(trial, middle, step)) * expm1(-h)
        x = renoise(x, noise, sigma, nxt, up)
    return x

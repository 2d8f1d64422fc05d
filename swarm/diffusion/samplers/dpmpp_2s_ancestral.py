"""DPM-Solver++ of second order, singlestep, with fresh noise."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import renoise, split, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler
from swarm.diffusion.space import Space

_NEARLY_NOISE = 0.9999  # the middle of a flow model's first step, which has none: its signal begins at nothing


@sampler(
    "dpmpp_2s_ancestral", "DPM++ 2S Ancestral", order=90, accuracy=2, calls="2", flow_aware=True, oracle="k-diffusion"
)
def dpmpp_2s_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Predicts in the middle of each step, overshoots with that and adds noise. Two model calls a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        part = split(noise.space, sigma, nxt)
        denoised = yield Denoise(x, sigma, step)
        if part.down == 0:
            x = denoised
        else:
            middle = middle_of(noise.space, sigma, part.down)
            trial = towards(x, denoised, sigma, middle)
            x = towards(x, (yield Denoise(trial, middle, step)), sigma, part.down)
        x = renoise(x, noise, sigma, nxt, part.up, part.keep)
    return x


def middle_of(space: Space, sigma: float, target: float) -> float:
    """The sigma half-way in the logarithm of the signal-to-noise ratio."""
    if space.is_flow and sigma >= 1.0:
        return _NEARLY_NOISE
    return space.sigma_at((space.half_log_snr(sigma) + space.half_log_snr(target)) / 2)

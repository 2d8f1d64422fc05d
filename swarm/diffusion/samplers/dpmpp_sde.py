"""SDE-DPM-Solver++ of second order, singlestep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import exp

from swarm.diffusion.ancestral import ancestral_split, renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler(
    "dpmpp_sde",
    "DPM++ SDE",
    order=100,
    noise="brownian",
    accuracy=2,
    calls="2",
    flow_aware=True,
    oracle="k-diffusion",
)
def dpmpp_sde(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Follows the reverse-time SDE through the middle of each step. Two model calls a step; strong at few steps."""
    sigmas = noise.space.with_signal(sigmas)
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        denoised = yield Denoise(x, sigma, step)
        if nxt == 0:
            return denoised
        places = noise.space.half_log_snr(sigma), noise.space.half_log_snr(nxt)
        middle = noise.space.sigma_at(sum(places) / 2)
        trial = _moved(x, denoised, noise, sigma, middle)
        corrected = yield Denoise(trial, middle, step)
        x = _moved(x, corrected, noise, sigma, nxt)
    return x


def _moved(x: Latent, denoised: Latent, noise: Noise, sigma: float, target: float) -> Latent:
    """An ancestral step in the ratio of noise to signal."""
    space = noise.space
    ratio, wanted = (exp(-space.half_log_snr(place)) for place in (sigma, target))
    down, up = ancestral_split(ratio, wanted)
    alpha = space.alpha(target)
    moved = x * (alpha / space.alpha(sigma) * down / ratio) + denoised * (alpha * (1 - down / ratio))
    return renoise(moved, noise, sigma, target, alpha * up)


dpmpp_sde_gpu = replace(
    dpmpp_sde,
    id="dpmpp_sde_gpu",
    name="DPM++ SDE, GPU Seeded",
    order=110,
    noise="brownian-device",
    oracle="DPM++ SDE",
    doc="The same steps as DPM++ SDE, with noise drawn on the model's device.",
)

"""DPM-Solver++ with CFG++ (Chung et al. 2024), multistep and singlestep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

from swarm.diffusion.ancestral import renoise, split, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, both, sampler
from swarm.diffusion.samplers.dpmpp_2s_ancestral import middle_of


@sampler(
    "dpmpp_2m_cfg_pp",
    "DPM++ 2M CFG++",
    order=390,
    noise="none",
    wants_unguided=True,
    accuracy=2,
    oracle="DPM++ 2M, where both prompts agree",
)
def dpmpp_2m_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2M with CFG++; wants a CFG scale of about 0 to 2."""
    before: tuple[Latent, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        answer = both((yield Denoise(x, sigma, step)))
        if nxt == 0:
            return answer.denoised
        x = answer.denoised + (x - answer.unguided) * (nxt / sigma)
        h = log(sigma / nxt)
        if before is not None:
            old, h_before = before
            x = x + (answer.denoised - old) * (-expm1(-h) * h / (2 * h_before))
        before = answer.unguided, h
    return x


@sampler(
    "dpmpp_2s_ancestral_cfg_pp",
    "DPM++ 2S Ancestral CFG++",
    order=400,
    wants_unguided=True,
    accuracy=2,
    calls="2",
    flow_aware=True,
    oracle="DPM++ 2S Ancestral, where both prompts agree",
)
def dpmpp_2s_ancestral_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2S Ancestral with CFG++; wants a CFG scale of about 0 to 2. Two model calls a step.

    The negative prompt alone leads both halves of a step; what guidance adds is added at its end.
    """
    space = noise.space
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        part = split(space, sigma, nxt)
        answer = both((yield Denoise(x, sigma, step)))
        if part.down == 0:
            x = answer.unguided
        else:
            middle = middle_of(space, sigma, part.down)
            trial = towards(x, answer.unguided, sigma, middle)
            x = towards(x, both((yield Denoise(trial, middle, step))).unguided, sigma, part.down)
        x = renoise(x, noise, sigma, nxt, part.up, part.keep)
        x = x + (answer.denoised - answer.unguided) * space.alpha(nxt)
    return x

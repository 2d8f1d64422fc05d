"""DPM-Solver++ with CFG++ (Chung et al. 2024), multistep and singlestep."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log, sqrt

from swarm.diffusion.ancestral import ancestral_split, renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, both, sampler


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
    calls="2",
    oracle="a step worked out by hand",
)
def dpmpp_2s_ancestral_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """DPM++ 2S Ancestral with CFG++; wants a CFG scale of about 0 to 2. Two model calls a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt)
        answer = both((yield Denoise(x, sigma, step)))
        if down == 0:
            x = answer.denoised
        else:
            ratio = sqrt(down / sigma)  # of the sigma in the middle of the step to the one at its start
            pushed = x + (answer.denoised - answer.unguided)
            trial = pushed * ratio + answer.denoised * (1 - ratio)
            middle = both((yield Denoise(trial, sigma * ratio, step)))
            # The middle's unguided prediction, though the step began with another: so it was published, and everybody's
            # pictures are made with it.
            pushed = x + (answer.denoised - middle.unguided)
            x = pushed * (down / sigma) + middle.denoised * (1 - down / sigma)
        x = renoise(x, noise, sigma, nxt, up)
    return x

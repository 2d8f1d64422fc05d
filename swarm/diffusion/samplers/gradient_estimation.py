"""Gradient estimation (Permenter and Yuan 2024), plain and with CFG++ (Chung et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.sampler import Denoise, Guided, Latent, Noise, SamplerRun, sampler

_GAMMA = 2.0


def _run(x: Latent, sigmas: Sequence[float]) -> SamplerRun:
    """Answered by `Guided`, the step begins at the guided prediction and goes along the unguided one's noise."""
    before: Latent | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        answer = yield Denoise(x, sigma, step)
        guided, denoised = (answer.denoised, answer.unguided) if isinstance(answer, Guided) else (answer, answer)
        if nxt == 0:
            return guided
        slope = (x - denoised) * (1 / sigma)
        x = guided + slope * nxt
        if before is not None:
            x = x + (slope - before) * ((_GAMMA - 1) * (nxt - sigma))
        before = slope
    return x


@sampler("gradient_estimation", "Gradient Estimation", order=270, noise="none", accuracy=1)
def gradient_estimation(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler whose slope is pushed on by the change since the last step; one model call a step."""
    return (yield from _run(x, sigmas))


@sampler(
    "gradient_estimation_cfg_pp",
    "Gradient Estimation CFG++",
    order=430,
    noise="none",
    wants_unguided=True,
    accuracy=1,
    oracle="Gradient Estimation, where both prompts agree",
)
def gradient_estimation_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Gradient Estimation with CFG++; wants a CFG scale of about 0 to 2."""
    return (yield from _run(x, sigmas))

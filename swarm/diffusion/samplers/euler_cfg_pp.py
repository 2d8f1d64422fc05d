"""CFG++ (Chung et al. 2024): steps to the guided prediction, along the noise the negative prompt sees."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.ancestral import ancestral_split, renoise
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, both, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, eta: float) -> SamplerRun:
    space = noise.space
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        answer = both((yield Denoise(x, sigma, step)))
        if nxt == 0:
            return answer.denoised
        alpha, alpha_next = space.alpha(sigma), space.alpha(nxt)
        down, up = ancestral_split(sigma / alpha, nxt / alpha_next, eta)
        slope = (x - answer.unguided * alpha) * (1 / sigma)
        x = answer.denoised * alpha_next + slope * (alpha_next * down)
        x = renoise(x, noise, sigma, nxt, alpha_next * up)
    return x


@sampler(
    "euler_cfg_pp",
    "Euler CFG++",
    order=370,
    noise="none",
    wants_unguided=True,
    accuracy=1,
    flow_aware=True,
    oracle="Euler, where both prompts agree",
)
def euler_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler with CFG++; wants a CFG scale of about 0 to 2."""
    return (yield from _run(x, sigmas, noise, eta=0.0))


@sampler(
    "euler_ancestral_cfg_pp",
    "Euler Ancestral CFG++",
    order=380,
    wants_unguided=True,
    accuracy=1,
    flow_aware=True,
    oracle="Euler Ancestral, where both prompts agree",
)
def euler_ancestral_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Euler Ancestral with CFG++; wants a CFG scale of about 0 to 2."""
    return (yield from _run(x, sigmas, noise, eta=1.0))

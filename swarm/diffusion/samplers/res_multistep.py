"""Refined exponential solver, multistep (Zhang et al. 2023), plain and with CFG++ (Chung et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

from swarm.diffusion.ancestral import ancestral_split, renoise, towards
from swarm.diffusion.sampler import Denoise, Guided, Latent, Noise, SamplerRun, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, eta: float) -> SamplerRun:
    """Second-order weights of an exponential integrator over this prediction and the last one's.

    Answered by `Guided`, the step begins at the guided prediction and goes along the unguided one's.
    """
    before: tuple[Latent, float, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt, eta)
        answer = yield Denoise(x, sigma, step)
        guided, denoised = (answer.denoised, answer.unguided) if isinstance(answer, Guided) else (answer, answer)
        if down == 0:
            x = guided
        else:
            if guided is not denoised:
                x = x + (guided - denoised)
            x = towards(x, guided, sigma, down) if before is None else _step(x, sigma, down, denoised, before)
        x = renoise(x, noise, sigma, nxt, up)
        before = denoised, sigma, down
    return x


def _step(x: Latent, sigma: float, down: float, denoised: Latent, before: tuple[Latent, float, float]) -> Latent:
    """`before`: the last step's prediction, the sigma it began at and the one it went down to."""
    old, old_sigma, old_down = before
    h = log(sigma / down)
    c_2 = log(old_down / old_sigma) / h
    phi_1 = expm1(-h) / -h
    phi_2 = (phi_1 - 1) / -h
    return x * (down / sigma) + denoised * (h * (phi_1 - phi_2 / c_2)) + old * (h * phi_2 / c_2)


@sampler(
    "res_multistep", "Res MultiStep", order=220, noise="none", accuracy=2, oracle="exact integrals of straight lines"
)
def res_multistep(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second-order for one model call a step, with the exact weights of an exponential integrator."""
    return (yield from _run(x, sigmas, noise, eta=0.0))


@sampler("res_multistep_ancestral", "Res MultiStep Ancestral", order=230, accuracy=2)
def res_multistep_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Res MultiStep that overshoots and adds fresh noise at each step."""
    return (yield from _run(x, sigmas, noise, eta=1.0))


@sampler(
    "res_multistep_cfg_pp",
    "Res MultiStep CFG++",
    order=410,
    noise="none",
    wants_unguided=True,
    accuracy=2,
    oracle="Res MultiStep, where both prompts agree",
)
def res_multistep_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Res MultiStep with CFG++; wants a CFG scale of about 0 to 2."""
    return (yield from _run(x, sigmas, noise, eta=0.0))


@sampler(
    "res_multistep_ancestral_cfg_pp",
    "Res MultiStep Ancestral CFG++",
    order=420,
    wants_unguided=True,
    accuracy=2,
    oracle="Res MultiStep Ancestral, where both prompts agree",
)
def res_multistep_ancestral_cfg_pp(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Res MultiStep Ancestral with CFG++; wants a CFG scale of about 0 to 2."""
    return (yield from _run(x, sigmas, noise, eta=1.0))

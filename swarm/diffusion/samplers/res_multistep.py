"""Refined exponential solver, multistep (Zhang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import expm1, log

from swarm.diffusion.ancestral import ancestral_split, renoise, towards
from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


def _run(x: Latent, sigmas: Sequence[float], noise: Noise, *, eta: float) -> SamplerRun:
    """Second-order weights of an exponential integrator over this prediction and the last one's."""
    before: tuple[Latent, float, float] | None = None
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        down, up = ancestral_split(sigma, nxt, eta)
        denoised = yield Denoise(x, sigma, step)
        if down == 0 or before is None:
            x = towards(x, denoised, sigma, down)
        else:
            old, old_sigma, old_down = before
            h = log(sigma / down)
            c_2 = log(old_down / old_sigma) / h
            phi_1 = expm1(-h) / -h
            phi_2 = (phi_1 - 1) / -h
            x = x * (down / sigma) + denoised * (h * (phi_1 - phi_2 / c_2)) + old * (h * phi_2 / c_2)
        x = renoise(x, noise, sigma, nxt, up)
        before = denoised, sigma, down
    return x


@sampler("res_multistep", "Res MultiStep", order=220)
def res_multistep(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Second-order for one model call a step, with the exact weights of an exponential integrator."""
    return (yield from _run(x, sigmas, noise, eta=0.0))


@sampler("res_multistep_ancestral", "Res MultiStep Ancestral", order=230)
def res_multistep_ancestral(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Res MultiStep that overshoots and adds fresh noise at each step."""
    return (yield from _run(x, sigmas, noise, eta=1.0))

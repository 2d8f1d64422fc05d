"""Heun's method over three slopes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from swarm.diffusion.sampler import Denoise, Latent, Noise, SamplerRun, sampler


@sampler("heunpp2", "Heun++ 2", order=30, noise="none", accuracy=1, calls="up to 3")
def heunpp2(x: Latent, sigmas: Sequence[float], noise: Noise) -> SamplerRun:
    """Looks two steps ahead and mixes the slopes by their share of the first sigma; up to three model calls a step."""
    for step, (sigma, nxt) in enumerate(pairwise(sigmas)):
        slopes = [(x - (yield Denoise(x, sigma, step))) * (1 / sigma)]
        ahead = [later for later in sigmas[step + 1 : step + 3] if later > 0]
        if nxt == sigmas[-1]:
            ahead = []
        elif sigmas[step + 2] == sigmas[-1]:
            ahead = ahead[:1]
        trial, at = x, sigma
        for later in ahead:
            trial = trial + slopes[-1] * (later - at)
            at = later
            slopes.append((trial - (yield Denoise(trial, later, step))) * (1 / later))
        shares = [later / (len(slopes) * sigmas[0]) for later in ahead]
        mixed = slopes[0] * (1 - sum(shares))
        for share, slope in zip(shares, slopes[1:], strict=True):
            mixed = mixed + slope * share
        x = x + mixed * (nxt - sigma)
    return x

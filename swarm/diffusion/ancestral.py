"""Steps that overshoot towards less noise and add fresh noise back: the split and the arithmetic samplers share."""

from __future__ import annotations

from math import sqrt

from swarm.diffusion.sampler import Latent, Noise


def ancestral_split(sigma: float, target: float, eta: float = 1.0) -> tuple[float, float]:
    """(down, up): go deterministically to `down`, then add noise of strength `up`, to arrive at `target`.

    down² + up² = target². `eta` 0 adds nothing, 1 adds as much as the reverse diffusion itself.
    """
    if eta == 0 or target == 0:
        return target, 0.0
    up = min(target, eta * sqrt(target**2 * (sigma**2 - target**2) / sigma**2))
    return sqrt(max(target**2 - up**2, 0.0)), up


def towards(x: Latent, denoised: Latent, sigma: float, target: float) -> Latent:
    """Along the straight line from `x` at `sigma` through `denoised` (at 0), to `target`: one Euler step."""
    if target == 0:
        return denoised
    return denoised + (x - denoised) * (target / sigma)


def renoise(x: Latent, noise: Noise, sigma: float, target: float, up: float) -> Latent:
    """Add noise of strength `up` for the way from `sigma` to `target`."""
    return x if up == 0 else x + noise(sigma, target) * up

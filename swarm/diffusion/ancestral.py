"""Steps that overshoot towards less noise and add fresh noise back: the split and the arithmetic samplers share."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

from swarm.diffusion.sampler import Latent, Noise
from swarm.diffusion.space import Space


def ancestral_split(sigma: float, target: float, eta: float = 1.0) -> tuple[float, float]:
    """(down, up): go deterministically to `down`, then add noise of strength `up`, to arrive at `target`.

    down² + up² = target². `eta` 0 adds nothing, 1 adds as much as the reverse diffusion itself.
    """
    if eta == 0 or target == 0:
        return target, 0.0
    up = min(target, eta * target * sqrt(sigma**2 - target**2) / sigma)
    return sqrt(max(target**2 - up**2, 0.0)), up


@dataclass(frozen=True)
class Split:
    """Go deterministically to `down`; then `keep` times that, plus noise of strength `up`, is at the target."""

    down: float
    keep: float
    up: float


def split(space: Space, sigma: float, target: float, eta: float = 1.0) -> Split:
    """How to arrive at `target` with fresh noise; flow models also fade the picture, for sigma is a share there."""
    if not space.is_flow:
        down, up = ancestral_split(sigma, target, eta)
        return Split(down, 1.0, up)
    down = target * (1.0 + (target / sigma - 1.0) * eta)
    keep = space.alpha(target) / space.alpha(down)
    return Split(down, keep, sqrt(max(target**2 - (down * keep) ** 2, 0.0)))


def towards(x: Latent, denoised: Latent, sigma: float, target: float) -> Latent:
    """Along the straight line from `x` at `sigma` through `denoised` (at 0), to `target`: one Euler step."""
    if target == 0:
        return denoised
    return denoised + (x - denoised) * (target / sigma)


def renoise(x: Latent, noise: Noise, sigma: float, target: float, up: float, keep: float = 1.0) -> Latent:
    """Add noise of strength `up` to `keep` times `x`, for the way from `sigma` to `target`."""
    if keep != 1.0:
        x = x * keep
    return x if up == 0 else x + noise(sigma, target) * up

"""Classifier-free guidance as arithmetic on predictions; works on floats, arrays and tensors alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from swarm.diffusion.sampler import Latent

L = TypeVar("L", bound=Latent)


def needs_negative(scale: float) -> bool:
    """A scale of exactly 1 leaves the negative prediction without weight, so it need not be made."""
    return scale != 1.0


def combine(cond: L, uncond: L, scale: float) -> L:
    """uncond + scale * (cond - uncond)."""
    return uncond + (cond - uncond) * scale


def rescale(guided: Any, cond: Any, weight: float, spread: Callable[[Any], Any]) -> Any:
    """Bring `guided` back towards the standard deviation of `cond` (Lin et al. 2023, section 3.4).

    `weight` 0 changes nothing, 1 matches it fully. `spread(v)`: the standard deviation of each picture in `v`, shaped
    to multiply with it. Both predictions are in v space (`prediction.v_factors`).
    """
    return guided * (weight * (spread(cond) / spread(guided)) + (1.0 - weight))

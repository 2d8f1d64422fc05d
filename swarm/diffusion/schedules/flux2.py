"""The schedule of Flux.2."""

from __future__ import annotations

from math import exp

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable, shifted

_MANY = 4300  # places of the latent, from which the shift no longer depends on the steps


@schedule("flux2", "Flux.2", order=130, keeps_all=True)
def flux2(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Even shares of noise, shifted towards more noise for large latents and few steps; 0 to 1, for flow models."""
    shift = exp(bend(options.cells, n))
    return [*(shifted(share, shift) for share in evenly(1.0, 0.0, n + 1)[:-1]), 0.0]


def bend(cells: int, n: int) -> float:
    """The logarithm of the shift: linear in the places, and between its values at 10 and 200 steps in the steps."""
    at_200 = 0.00016927 * cells + 0.45666666
    if cells > _MANY:
        return at_200
    at_10 = 8.73809524e-05 * cells + 1.89833333
    return at_200 + (at_200 - at_10) / 190.0 * (n - 200)

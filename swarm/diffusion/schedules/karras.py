"""The spacing of Karras et al. 2022, equation 5."""

from __future__ import annotations

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("karras", "Karras", order=10, ranged=True)
def karras(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Even spacing of the rho-th root of sigma: short steps where there is little noise.

    Rho is 7, or what is asked beside a range of sigmas.
    """
    low, high = options.range(table)
    rho = options.rho if options.rho is not None and options.has_range else 7.0
    return [*(root**rho for root in evenly(high ** (1 / rho), low ** (1 / rho), n)), 0.0]

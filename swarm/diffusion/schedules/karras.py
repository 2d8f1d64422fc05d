"""The spacing of Karras et al. 2022, equation 5."""

from __future__ import annotations

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("karras", "Karras", order=10)
def karras(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Even spacing of the rho-th root of sigma (rho 7 by default): short steps where there is little noise."""
    low, high = options.range(table)
    rho = 7.0 if options.rho is None else options.rho
    return [*(root**rho for root in evenly(high ** (1 / rho), low ** (1 / rho), n)), 0.0]

"""Even spacing of log sigma."""

from __future__ import annotations

from math import exp, log

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("exponential", "Exponential", order=20, ranged=True)
def exponential(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Each sigma is the same fraction of the one before, then 0."""
    low, high = options.range(table)
    return [*(exp(value) for value in evenly(log(high), log(low), n)), 0.0]

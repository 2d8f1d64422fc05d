"""Slow and even at first, then ever faster."""

from __future__ import annotations

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable

_THRESHOLD = 0.025


@schedule("linear_quadratic", "Linear Quadratic", order=90)
def linear_quadratic(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """The first half of the steps removes 2.5 % of the noise evenly, the rest follows a parabola of matching slope."""
    if n == 1:
        return [table.sigma_max, 0.0]
    straight = n // 2
    bent = n - straight
    slope = _THRESHOLD / straight
    bend = (1.0 - _THRESHOLD - slope * bent) / bent**2
    done = [slope * i for i in range(straight)]
    done += [_THRESHOLD + slope * i + bend * i**2 for i in range(bent)]
    return [*((1.0 - share) * table.sigma_max for share in done), 0.0]

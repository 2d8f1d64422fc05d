"""The spacing of "Align Your Steps" for a Gaussian, in closed form."""

from __future__ import annotations

from math import atan, tan

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("kl_optimal", "KL Optimal", order=120)
def kl_optimal(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Even spacing of the angle whose tangent is sigma, then 0 (Sabour et al. 2024)."""
    return [*(tan(angle) for angle in evenly(atan(table.sigma_max), atan(table.sigma_min), n)), 0.0]

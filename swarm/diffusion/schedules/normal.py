"""Even spacing in the model's timesteps."""

from __future__ import annotations

from math import isclose

from swarm.diffusion.schedule import ScheduleOptions, evenly, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("normal", "Normal", order=0)
def normal(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Timesteps evenly spaced from the noisiest to the cleanest, both included, then 0."""
    start, end = table.t_of(table.sigma_max), table.t_of(table.sigma_min)
    if isclose(table.sigma_of(end), 0.0, abs_tol=1e-5):
        return [*(table.sigma_of(t) for t in evenly(start, end, n + 1)[:-1]), 0.0]
    return [*(table.sigma_of(t) for t in evenly(start, end, n)), 0.0]


@schedule("sgm_uniform", "SGM Uniform", order=50)
def sgm_uniform(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Like normal with one step more, whose last (the cleanest timestep) is replaced by 0."""
    start, end = table.t_of(table.sigma_max), table.t_of(table.sigma_min)
    return [*(table.sigma_of(t) for t in evenly(start, end, n + 1)[:-1]), 0.0]

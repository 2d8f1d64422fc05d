"""The steps that few-step distilled UNets were trained on."""

from __future__ import annotations

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("turbo", "Turbo", order=60, keeps_all=True)
def turbo(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Timesteps 999, 899, 799 … (at most ten), then 0; more than ten steps are ten."""
    return [*(table.sigma_of(999 - 100 * i) for i in range(min(n, 10))), 0.0]

"""The steps that few-step distilled UNets were trained on."""

from __future__ import annotations

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("turbo", "Turbo", order=60, keeps_all=True)
def turbo(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Timesteps 999, 899, 799 … (at most ten), then 0; more than ten steps are ten.

    Where timesteps are not counted to a thousand, the levels at the same shares of the model's own.
    """
    timesteps = (999 - 100 * i for i in range(min(n, 10)))
    if table.continuous:
        return [*(table.sigmas[timestep] for timestep in timesteps), 0.0]
    unit = 1 if table.shift is None else len(table.sigmas) / 1000
    return [*(table.sigma_of(timestep * unit) for timestep in timesteps), 0.0]

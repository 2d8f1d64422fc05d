"""Entries of the model's own table at an even stride."""

from __future__ import annotations

from dataclasses import replace

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable


@schedule("simple", "Simple", order=30)
def simple(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Every (size / n)-th entry of the sigma table, from the noisiest down, then 0."""
    size = len(table.sigmas)
    stride = size / n
    return [*(table.sigmas[size - 1 - int(i * stride)] for i in range(n)), 0.0]


@schedule("ddim_uniform", "DDIM Uniform", order=40)
def ddim_uniform(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Entries 1, 1 + s, 1 + 2s … of the sigma table with s = size // n, from the noisiest down, then 0.

    Where s does not divide the table evenly there is a step more than asked for.
    """
    stride = max(len(table.sigmas) // n, 1)
    return [*reversed(table.sigmas[1::stride]), 0.0]


ltxv = replace(
    simple,
    id="ltxv",
    name="LTX-Video",
    order=100,
    doc="The same as Simple; kept for requests that name it. LTXV-Image is the schedule of LTX-Video.",
)

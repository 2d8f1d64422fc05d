"""What a schedule is: steps and a sigma table in, the falling list of sigmas to visit out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from swarm.diffusion.sigmas import SigmaTable


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """What a request may say about a schedule, and what the model is.

    `sigma_min`, `sigma_max`: the range, for karras and exponential; they act only when both are given and >= 0.
    `rho`: the bend of karras, None for 7. `compat`: the model's compat class id, for schedules tuned per family.
    """

    sigma_min: float | None = None
    sigma_max: float | None = None
    rho: float | None = None
    compat: str = ""

    def range(self, table: SigmaTable) -> tuple[float, float]:
        """(lowest sigma, highest sigma)."""
        if self.sigma_min is None or self.sigma_max is None or self.sigma_min < 0 or self.sigma_max < 0:
            return table.sigma_min, table.sigma_max
        return self.sigma_min, self.sigma_max


SigmaMaker: TypeAlias = Callable[[int, SigmaTable, ScheduleOptions], list[float]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A way to space the steps, as it stands in the Scheduler dropdown.

    `sigmas(n, table, options)`, n >= 1: n + 1 sigmas, falling, the last is 0.0. A few schedules answer with other
    lengths, each says so; the number of steps is always `len(answer) - 1`. `order`: its place in the dropdown.
    """

    id: str
    name: str
    sigmas: SigmaMaker
    order: int = 1000
    doc: str = field(default="")


def schedule(id: str, name: str, *, order: int = 1000) -> Callable[[SigmaMaker], Schedule]:
    """Declare a function as the schedule `id`."""

    def declare(sigmas: SigmaMaker) -> Schedule:
        return Schedule(id=id, name=name, sigmas=sigmas, order=order, doc=(sigmas.__doc__ or "").strip())

    return declare


def evenly(start: float, stop: float, n: int) -> list[float]:
    """`n` >= 1 values from `start` to `stop`, both included; only `start` when n is 1."""
    if n == 1:
        return [start]
    return [start + (stop - start) * i / (n - 1) for i in range(n)]

"""What a schedule is: steps and a sigma table in, the falling list of sigmas to visit out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from swarm.diffusion.sampler import Sampler
from swarm.diffusion.sigmas import SigmaTable

_LEAST = 1e-4
"""The lowest noise a range may end at: of none there is neither a logarithm nor a slope."""


@dataclass(frozen=True, kw_only=True)
class ScheduleOptions:
    """What a request may say about a schedule, and what the model is.

    `sigma_min`, `sigma_max`: the range, for karras and exponential; they act only when both are given and >= 0, the
    lowest below the other; a lowest of 0 becomes nearly 0.
    `rho`: the bend of karras, None for 7; it acts only beside a range. `compat`: the model's compat class id, for
    schedules tuned per family. `cells`: places of the picture's latent, in all; for schedules that grow.
    """

    sigma_min: float | None = None
    sigma_max: float | None = None
    rho: float | None = None
    compat: str = ""
    cells: int = 4096

    @property
    def has_range(self) -> bool:
        """Whether the request narrows the range of karras and exponential."""
        low, high = self.sigma_min, self.sigma_max
        return low is not None and high is not None and 0 <= low < high and high > _LEAST

    def range(self, table: SigmaTable) -> tuple[float, float]:
        """(lowest sigma, highest sigma)."""
        if self.sigma_min is None or self.sigma_max is None or not self.has_range:
            return table.sigma_min, table.sigma_max
        return max(self.sigma_min, _LEAST), self.sigma_max


SigmaMaker: TypeAlias = Callable[[int, SigmaTable, ScheduleOptions], list[float]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A way to space the steps, as it stands in the Scheduler dropdown.

    `sigmas(n, table, options)`, n >= 1: n + 1 sigmas, falling, the last is 0.0. A few schedules answer with other
    lengths, each says so; the number of steps is always `len(answer) - 1`. `order`: its place in the dropdown.
    `keeps_all`: samplers that discard the second-last sigma keep it. `ranged`: a request may narrow its range.
    """

    id: str
    name: str
    sigmas: SigmaMaker
    order: int = 1000
    keeps_all: bool = False
    ranged: bool = False
    doc: str = ""


def schedule(
    id: str, name: str, *, order: int = 1000, keeps_all: bool = False, ranged: bool = False
) -> Callable[[SigmaMaker], Schedule]:
    """Declare a function as the schedule `id`."""

    def declare(sigmas: SigmaMaker) -> Schedule:
        doc = (sigmas.__doc__ or "").strip()
        return Schedule(id=id, name=name, sigmas=sigmas, order=order, keeps_all=keeps_all, ranged=ranged, doc=doc)

    return declare


def sigmas_for(
    sampler: Sampler, schedule: Schedule, n: int, table: SigmaTable, options: ScheduleOptions
) -> list[float]:
    """The sigmas that `sampler` visits on `schedule` with `n` steps; empty for none.

    Samplers with `discards_penultimate` get the schedule of one step more without its second-last sigma; those with
    `keeps_range` as well get the whole of a range that the request gives.
    """
    if n < 1:
        return []
    given = sampler.keeps_range and schedule.ranged and options.has_range
    if not sampler.discards_penultimate or schedule.keeps_all or given:
        return schedule.sigmas(n, table, options)
    sigmas = schedule.sigmas(n + 1, table, options)
    return [*sigmas[:-2], sigmas[-1]]


def evenly(start: float, stop: float, n: int) -> list[float]:
    """`n` >= 1 values from `start` to `stop`, both included; only `start` when n is 1."""
    if n == 1:
        return [start]
    return [start + (stop - start) * i / (n - 1) for i in range(n)]

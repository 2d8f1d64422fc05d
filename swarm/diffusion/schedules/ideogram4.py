"""The schedules of Ideogram 4: shares of noise at quantiles of a logit-normal distribution."""

from __future__ import annotations

from math import exp, log
from statistics import NormalDist

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable

_SPREAD = 1.75
_LEAST, _MOST = -7.5, 9.0  # logits of the shares that the infinite ends of the distribution are cut to
_BASE = 32 * 32


@schedule("ideogram4", "Ideogram 4 Default", order=140, keeps_all=True)
def ideogram4(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Logit-normal shares of noise, more of it for larger latents; 0 to 1, for flow models."""
    return _quantiles(n, options, 0.0)


@schedule("ideogram4turbo", "Ideogram4 Turbo", order=150, keeps_all=True)
def ideogram4turbo(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Ideogram 4's schedule moved further towards noise, for few steps."""
    return _quantiles(n, options, 0.5)


def _quantiles(n: int, options: ScheduleOptions, mean: float) -> list[float]:
    normal = NormalDist(mean + 0.5 * log(options.cells / _BASE), _SPREAD)
    logits = [_MOST, *(normal.inv_cdf(1.0 - i / n) for i in range(1, n))]
    return [*(1.0 / (1.0 + exp(-min(max(logit, _LEAST), _MOST))) for logit in logits), 0.0]

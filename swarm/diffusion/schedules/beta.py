"""Steps at quantiles of a beta distribution: dense at both ends, sparse in the middle."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from math import exp, lgamma, log

from swarm.diffusion.schedule import ScheduleOptions, schedule
from swarm.diffusion.sigmas import SigmaTable

_A = _B = 0.6


@schedule("beta", "Beta", order=80)
def beta(n: int, table: SigmaTable, options: ScheduleOptions) -> list[float]:
    """Table entries at the quantiles 1 - i/n of Beta(0.6, 0.6) over the timesteps (Lee et al. 2024), then 0.

    Steps that fall on the same entry are one step, so many steps can be fewer than asked for.
    """
    last = len(table.sigmas) - 1
    entries = [round(quantile(1.0 - i / n, _A, _B) * last) for i in range(n)]
    return [*(table.sigmas[entry] for entry, _ in groupby(entries)), 0.0]


def quantile(share: float, a: float, b: float) -> float:
    """The x in 0 to 1 below which `share` (0 to 1) of Beta(a, b) lies."""
    if share <= 0.0:
        return 0.0
    if share >= 1.0:
        return 1.0
    if share == 0.5 and a == b:
        return 0.5
    return _bisect(lambda x: regularized_beta(x, a, b) - share)


def regularized_beta(x: float, a: float, b: float) -> float:
    """The share of Beta(a, b) below x: the continued fraction of DLMF 8.17.22, on the side where it converges fast."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - regularized_beta(1.0 - x, b, a)
    front = exp(a * log(x) + b * log(1.0 - x) + lgamma(a + b) - lgamma(a) - lgamma(b)) / a
    fraction = 1.0
    for m in range(60, 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        fraction = 1.0 + odd / (1.0 + even / fraction)
    return front / fraction


def _bisect(rising: Callable[[float], float]) -> float:
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if rising(middle) < 0:
            low = middle
        else:
            high = middle
    return (low + high) / 2

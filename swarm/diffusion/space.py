"""What sigma means to the model: its table, and signal against noise, for beta schedules and for flow models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, inf, log

from swarm.diffusion.sigmas import SigmaTable

_LEAST_SIGNAL = 1e-6
_FIRST = 1e-4  # where a flow schedule begins for solvers that divide by the signal's share, which is 0 at sigma 1


@dataclass(frozen=True)
class Space:
    """x = alpha * clean + sigma * noise: alpha is 1 for beta schedules and 1 - sigma for flow models."""

    table: SigmaTable

    @property
    def is_flow(self) -> bool:
        return self.table.shift is not None

    def alpha(self, sigma: float) -> float:
        """Above 0, also where a request has a flow model begin beyond pure noise."""
        return max(1.0 - sigma, _LEAST_SIGNAL) if self.is_flow else 1.0

    def half_log_snr(self, sigma: float) -> float:
        """ln(alpha / sigma); infinite at sigma 0."""
        return inf if sigma == 0 else log(self.alpha(sigma) / sigma)

    def sigma_at(self, half_log_snr: float) -> float:
        """The inverse of `half_log_snr`."""
        noise = exp(-half_log_snr)
        return noise / (1.0 + noise) if self.is_flow else noise

    def sigma_after(self, share: float) -> float:
        """The sigma at which `share` (0 to 1) of the training timesteps lie behind."""
        table = self.table
        if table.continuous:
            return exp(share * log(table.sigma_min) + (1.0 - share) * log(table.sigma_max))
        return table.sigma_of((1.0 - share) * (len(table.sigmas) * table.stride - (0 if self.is_flow else 1)))

    def share_at(self, sigma: float) -> float:
        """The inverse of `sigma_after`: the share of the training timesteps that lie behind at `sigma`, 0 to 1."""
        table = self.table
        if table.continuous:
            behind = log(table.sigma_max / sigma) / log(table.sigma_max / table.sigma_min)
            return min(max(behind, 0.0), 1.0)
        if table.shift is None:
            return 1.0 - table.t_of(sigma) / (len(table.sigmas) * table.stride - 1)
        # Levels beyond pure noise, which only a request can ask for, lie before everything.
        return 0.0 if sigma >= 1.0 else 1.0 - sigma / (table.shift - (table.shift - 1.0) * sigma)

    def with_signal(self, sigmas: Sequence[float]) -> list[float]:
        """`sigmas`, the first one moved off pure noise where a flow model starts from it.

        Levels beyond pure noise, which only a request can ask for, stay as they are.
        """
        first = self.sigma_after(_FIRST)
        if not self.is_flow or not sigmas or sigmas[0] < 1.0 or max(sigmas[1:], default=0.0) >= first:
            return list(sigmas)
        return [first, *sigmas[1:]]

"""The noise strengths a model was trained on, and the mapping between them and its timesteps.

For denoisers with a beta schedule: sigma_t = sqrt((1 - ᾱ_t) / ᾱ_t), interpolated in log sigma between whole timesteps.
For flow models: sigma is the share of noise, 0 to 1, after the shift s·t / (1 + (s - 1)·t).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log, sqrt

_TERMINAL_ALPHA = 4.8973451890853435e-08  # ᾱ at the end of a zero-terminal-SNR table; 0 itself would be sigma = ∞


@dataclass(frozen=True)
class SigmaTable:
    """`sigmas`: ascending, one per training timestep. `shift`: the flow shift, None for beta schedules.
    `stride`: for models distilled to every so many timesteps of a beta schedule; 1 for all others."""

    sigmas: tuple[float, ...]
    shift: float | None = None
    stride: int = 1

    @staticmethod
    def scaled_linear(
        beta_start: float = 0.00085, beta_end: float = 0.012, n: int = 1000, *, zero_snr: bool = False
    ) -> SigmaTable:
        """Betas whose square roots are evenly spaced (all Stable Diffusion UNets)."""
        roots = _linspace(sqrt(beta_start), sqrt(beta_end), n)
        return SigmaTable._of([root**2 for root in roots], zero_snr)

    @staticmethod
    def linear(
        beta_start: float = 0.0001, beta_end: float = 0.02, n: int = 1000, *, zero_snr: bool = False
    ) -> SigmaTable:
        """Betas that are evenly spaced themselves (PixArt)."""
        return SigmaTable._of(_linspace(beta_start, beta_end, n), zero_snr)

    @staticmethod
    def _of(betas: Sequence[float], zero_snr: bool) -> SigmaTable:
        cumulative, product = [], 1.0
        for beta in betas:
            product *= 1.0 - beta
            cumulative.append(product)
        if zero_snr:
            cumulative = _zero_terminal(cumulative)
        return SigmaTable(tuple(sqrt((1.0 - alpha) / alpha) for alpha in cumulative))

    @staticmethod
    def flow(shift: float = 1.0, n: int = 1000) -> SigmaTable:
        """Rectified flow: noise shares (i + 1) / n, shifted towards more noise by `shift` (> 0)."""
        return SigmaTable(tuple(shifted((i + 1) / n, shift) for i in range(n)), shift)

    def distilled(self, stride: int) -> SigmaTable:
        """Every `stride`-th timestep only, the last included."""
        return SigmaTable(self.sigmas[stride - 1 :: stride], self.shift, stride)

    @property
    def sigma_min(self) -> float:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> float:
        return self.sigmas[-1]

    def sigma_of(self, t: float) -> float:
        """The sigma of a timestep; t is 0 to len - 1 (flow: 0 to len), clamped, and may lie between whole steps."""
        if self.shift is not None:
            return shifted(t / len(self.sigmas), self.shift)
        t = min(max((t - (self.stride - 1)) / self.stride, 0.0), len(self.sigmas) - 1.0)
        low = int(t)
        share = t - low
        if share == 0:
            return self.sigmas[low]
        return exp((1.0 - share) * log(self.sigmas[low]) + share * log(self.sigmas[low + 1]))

    def t_of(self, sigma: float) -> float:
        """The timestep the model is told for `sigma`, between whole steps where needed; clamped to the table.

        For beta schedules the inverse of `sigma_of`. Flow models are told the shifted share itself, times len.
        """
        if self.shift is not None:
            return sigma * len(self.sigmas)
        return self._position(sigma) * self.stride + self.stride - 1

    def _position(self, sigma: float) -> float:
        if sigma <= self.sigmas[0]:
            return 0.0
        if sigma >= self.sigmas[-1]:
            return len(self.sigmas) - 1.0
        high = bisect_left(self.sigmas, sigma)
        below, above = log(self.sigmas[high - 1]), log(self.sigmas[high])
        return high - 1 + (log(sigma) - below) / (above - below)

    def nearest_t(self, sigma: float) -> float:
        """Like `t_of`, rounded to the nearest whole step in log sigma (beta schedules only)."""
        if self.shift is not None:
            return self.t_of(sigma)
        return float(round(self._position(sigma)) * self.stride + self.stride - 1)


def shifted(share: float, shift: float) -> float:
    """The flow shift: `share` 0 to 1 -> 0 to 1."""
    return shift * share / (1.0 + (shift - 1.0) * share)


def _zero_terminal(cumulative: Sequence[float]) -> list[float]:
    """Rescale ᾱ so that the last step is pure noise and the first is unchanged (Lin et al. 2023, algorithm 1)."""
    roots = [sqrt(alpha) for alpha in cumulative]
    first, last = roots[0], roots[-1]
    rescaled = [((root - last) * first / (first - last)) ** 2 for root in roots]
    return [*rescaled[:-1], _TERMINAL_ALPHA]


def _linspace(start: float, stop: float, n: int) -> list[float]:
    return [start + (stop - start) * i / (n - 1) for i in range(n)]

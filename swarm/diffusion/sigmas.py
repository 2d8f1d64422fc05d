"""The noise strengths a model was trained on, and the mapping between them and its timesteps.

For denoisers with a beta schedule: sigma_t = sqrt((1 - ᾱ_t) / ᾱ_t), interpolated in log sigma between whole timesteps.
For flow models: sigma is the share of noise, 0 to 1, after the shift s·t / (1 + (s - 1)·t).
For models of Karras et al. 2022 (EDM): sigma itself, over a range; their timestep is ln(sigma) / 4.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt

_PER_LOG = 4.0
_FINE = 10_000  # levels of Flux.1 and Flux.2, whose shift is worked out in another order than others'
_TERMINAL_ALPHA = 4.8973451890853435e-08  # ᾱ at the end of a zero-terminal-SNR table; 0 itself would be sigma = ∞


@dataclass(frozen=True)
class SigmaTable:
    """`sigmas`: ascending, one per training timestep. `shift`: the flow shift, None for beta schedules.
    `stride`: for models distilled to every so many timesteps of a beta schedule; 1 for all others. `continuous`: any
    sigma is a timestep, as EDM has them."""

    sigmas: tuple[float, ...]
    shift: float | None = None
    stride: int = 1
    continuous: bool = False

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
        return SigmaTable(_flow_levels(shift, n), shift)

    @staticmethod
    def edm(sigma_min: float = 0.002, sigma_max: float = 120.0, n: int = 1000) -> SigmaTable:
        """Levels that are even in log sigma, from `sigma_min` (> 0) to `sigma_max`."""
        return SigmaTable(tuple(exp(value) for value in _linspace(log(sigma_min), log(sigma_max), n)), continuous=True)

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
        if self.continuous:
            return exp(min(max(_PER_LOG * t, log(self.sigma_min)), log(self.sigma_max)))
        t = min(max((t - (self.stride - 1)) / self.stride, 0.0), len(self.sigmas) - 1.0)
        low = int(t)
        share = t - low
        if share == 0:
            return self.sigmas[low]
        return exp((1.0 - share) * log(self.sigmas[low]) + share * log(self.sigmas[low + 1]))

    def t_of(self, sigma: float) -> float:
        """The timestep the model is told for `sigma`, between whole steps where needed; clamped to the table.

        For beta schedules and EDM the inverse of `sigma_of`. Flow models are told the shifted share itself, times len.
        """
        if self.shift is not None:
            return sigma * len(self.sigmas)
        if self.continuous:
            return log(sigma) / _PER_LOG
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
        if self.shift is not None or self.continuous:
            return self.t_of(sigma)
        return float(round(self._position(sigma)) * self.stride + self.stride - 1)


@lru_cache(maxsize=64)
def _flow_levels(shift: float, n: int) -> tuple[float, ...]:
    """The shifted shares as 32-bit arithmetic has them, operation by operation.

    Which side of a limit a level lies on that is meant to be the limit is decided by that, for everybody.
    """
    shares = array("f", ((i + 1) / n for i in range(n)))
    if shift == 1.0:
        return tuple(shares)
    factor, more = array("f", (shift, shift - 1.0))
    if n == _FINE:
        odds = array("f", (each - 1.0 for each in array("f", (1.0 / share for share in shares))))
        whole = array("f", (1.0 / each for each in array("f", (factor + each for each in odds))))
        return tuple(array("f", (factor * each for each in whole)))
    above = array("f", (factor * share for share in shares))
    below = array("f", (1.0 + each for each in array("f", (more * share for share in shares))))
    return tuple(array("f", (high / low for high, low in zip(above, below, strict=True))))


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

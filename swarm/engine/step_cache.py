"""What one walk's network said last, and whether that is still good enough (features/easy_cache.py).

Sums stay on the device; only whether to compute is read back, once a step: what happens next depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swarm.features.easy_cache import EASY_CACHE_END, EASY_CACHE_MODE, EASY_CACHE_START, EASY_CACHE_THRESHOLD
from swarm.jobs.stage import Conditioning, Pass

_STAGES = {"all": ("base", "refiner", "segment", "object"), "base gen only": ("base",)}


class StepCache:
    """`threshold`: relative change of the output that may be left out. `start`, `end`: shares of the walk."""

    def __init__(self, threshold: float, start: float, end: float) -> None:
        self._threshold = threshold
        self._start = start
        self._end = end
        self._input: torch.Tensor | None = None
        self._output: torch.Tensor | None = None
        self._rate: torch.Tensor | None = None
        self._told: tuple[Conditioning, ...] = ()
        self._left_out: torch.Tensor | float = 0.0
        self.skipped = 0

    @staticmethod
    def wanted_by(of: Pass) -> StepCache | None:
        """The cache of a walk whose request asks for one."""
        if of.name not in _STAGES.get(of.input.get(EASY_CACHE_MODE), ()):
            return None
        input = of.input
        return StepCache(input.get(EASY_CACHE_THRESHOLD), input.get(EASY_CACHE_START), input.get(EASY_CACHE_END))

    def foretold(self, x: torch.Tensor, told: Sequence[Conditioning], share: float) -> torch.Tensor | None:
        """The outputs (n, C, h, w) for input `x` (1, C, h, w) when `share` of the walk is done; None: compute.

        `told`: what the n rows hear; when that has changed, what they said before tells nothing.
        """
        known, output = self._input, self._output
        changed = len(told) != len(self._told) or any(
            one is not other for one, other in zip(told, self._told, strict=True)
        )
        self._told = tuple(told)
        if known is None or output is None or self._rate is None or changed:
            return None
        if not self._start <= share < self._end:
            return None
        change = self._rate * _size(x - known) / _size(output).clamp(min=1e-8)
        self._left_out = change + self._left_out
        # Written so that a change that is no number counts as too large.
        if not float(self._left_out) < self._threshold:
            self._left_out = 0.0
            return None
        foretold = output - known + x
        self._input, self._output = x, foretold
        self.skipped += 1
        return foretold

    def learn(self, x: torch.Tensor, output: torch.Tensor) -> None:
        """The network said `output` to `x`."""
        if self._input is not None and self._output is not None and len(self._output) == len(output):
            self._rate = _size(output - self._output) / _size(x - self._input)
        self._input, self._output = x, output


def _size(values: torch.Tensor) -> torch.Tensor:
    return values.abs().mean()

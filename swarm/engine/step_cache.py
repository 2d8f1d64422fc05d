"""What one walk's network said last, and whether that is still good enough (features/easy_cache.py).

Sums stay on the device; only whether to compute is read back, once a step: what happens next depends on it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from swarm.features.easy_cache import EASY_CACHE_END, EASY_CACHE_MODE, EASY_CACHE_START, EASY_CACHE_THRESHOLD
from swarm.jobs.stage import Conditioning, Pass

_SPARSE = 8
"""Every so many cells, in both directions, are looked at."""
_STAGES = {"all": ("base", "refiner", "segment", "object"), "base gen only": ("base",)}


class StepCache:
    """`threshold`: relative change of the output that may be left out. `start`, `end`: shares of the walk.

    One row, the last, stands for all: how its output changes with its input is measured at every `_SPARSE`-th place,
    between computed steps only, from `start` on.
    """

    def __init__(self, threshold: float, start: float, end: float) -> None:
        self._threshold = threshold
        self._start = start
        self._end = end
        self._first: Conditioning | None = None
        self._input: torch.Tensor | None = None
        self._output: torch.Tensor | None = None
        self._size: torch.Tensor | None = None
        self._moved: torch.Tensor | None = None
        self._rate: torch.Tensor | None = None
        self._added: dict[int, tuple[Conditioning, torch.Tensor]] = {}
        self._told: tuple[Conditioning, ...] = ()
        self._left_out: torch.Tensor | float = 0.0
        self._is_over = False
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

        `told`: what the n rows hear; what has not been heard before cannot be foretold.
        """
        self._told, self._moved = tuple(told), None
        self._is_over = share >= self._end
        if self._is_over or share < self._start:
            return None
        if self._first is None:
            self._first = self._told[-1]
        if not self._is_first_told or self._input is None or self._size is None:
            return None
        self._moved = _mean(_sparse(x) - self._input)
        if self._rate is None:
            return None
        self._left_out = self._rate * self._moved / self._size.clamp(min=1e-8) + self._left_out
        # Written so that a change that is no number counts as too large.
        if not (all(id(one) in self._added for one in self._told) and float(self._left_out) < self._threshold):
            self._left_out = 0.0
            return None
        self.skipped += 1
        return torch.cat([x + self._added[id(one)][1] for one in self._told])

    def learn(self, x: torch.Tensor, output: torch.Tensor) -> None:
        """The network said `output` to `x`."""
        if self._is_over:
            return
        # The conditioning is kept beside its number, so that no other takes its place in memory.
        self._added |= {id(one): (one, row - x) for one, row in zip(self._told, output.split(1), strict=True)}
        if not self._is_first_told:
            return
        place = next(number for number, one in enumerate(self._told) if one is self._first)
        said = _sparse(output[place : place + 1])
        if self._output is not None and self._moved is not None:
            self._rate = _mean(said - self._output) / self._moved
        self._input, self._output, self._size = _sparse(x).clone(), said.clone(), _mean(output)

    @property
    def _is_first_told(self) -> bool:
        return any(one is self._first for one in self._told)


def _sparse(values: torch.Tensor) -> torch.Tensor:
    return values[..., ::_SPARSE, ::_SPARSE]


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.abs().mean()

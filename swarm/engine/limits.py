"""How many rows one model call should take: what fits in memory, and what proved to be worth it. Pure arithmetic."""

from __future__ import annotations

from collections import deque

MOST_ROWS = 64
_SAMPLES = 3
_REMEMBERED = 4
_GAIN = 0.97
"""A larger call must cost less than this share of the smaller one's time per row, or it only makes pictures wait."""
_TRY_AGAIN = 150


class RowLimit:
    """Finds the best number of rows for one model and size.

    It begins with the smallest call, doubles while there is work for more and the time per row falls, and stops where
    it does not. `ceiling`: what memory allows; lowered for good when a call runs out of memory. `fixed`: never measure.
    """

    def __init__(self, *, start: int = 2, ceiling: int = MOST_ROWS, fixed: int | None = None) -> None:
        self._cap = min(start, ceiling) if fixed is None else fixed
        self._ceiling = ceiling if fixed is None else fixed
        self._fixed = fixed is not None
        self._seconds: dict[int, deque[float]] = {}
        self._refused_for = 0

    @property
    def cap(self) -> int:
        """The largest call known to be worth it."""
        return min(self._cap, self._ceiling)

    @property
    def ceiling(self) -> int:
        """The largest call that memory is believed to allow."""
        return self._ceiling

    def rows(self, wanted: int) -> int:
        """How many rows the next call may take when `wanted` are waiting; at least one."""
        if wanted <= self.cap or self._fixed:
            return max(1, min(wanted, self.cap))
        self._refused_for -= 1
        if self._refused_for > 0 or len(self._measured(self.cap)) < _SAMPLES:
            return max(1, self.cap)
        return max(1, min(wanted, self.cap * 2, self._ceiling))

    def measured(self, rows: int, seconds: float) -> None:
        """A call of `rows` rows took `seconds` of device time."""
        self._measured(rows).append(seconds / rows)
        larger, known = self._measured(rows), self._measured(self.cap)
        if rows <= self.cap or len(larger) < _SAMPLES or not known:
            return
        if min(larger) < min(known) * _GAIN:
            self._cap = rows
        else:
            self._refused_for = _TRY_AGAIN
            larger.clear()

    def fits(self, rows: int) -> None:
        """Memory allows at most `rows`, by a new estimate."""
        if not self._fixed:
            self._ceiling = max(1, min(MOST_ROWS, rows))

    def overflowed(self, rows: int) -> bool:
        """A call of `rows` rows ran out of memory: from now on half of it. False when one row was already too much."""
        self._ceiling = max(1, rows // 2)
        self._cap = min(self._cap, self._ceiling)
        return rows > 1

    def _measured(self, rows: int) -> deque[float]:
        return self._seconds.setdefault(rows, deque(maxlen=_REMEMBERED))

"""Figures beside what is asked of them, as a table for people and a line of JSON; and how disturbed the machine is."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

_SPIN_SECONDS = 0.3
DISTURBED = 1.3
"""From this `disturbance` on, times are those of a busy machine."""


@dataclass(frozen=True)
class Bar:
    """What a figure must reach: `most` or `least`, or neither for one that is only told."""

    figure: str
    what: str
    most: float | None = None
    least: float | None = None

    def holds(self, value: float) -> bool:
        return (self.most is None or value <= self.most) and (self.least is None or value >= self.least)

    def __str__(self) -> str:
        if self.most is not None:
            return f"≤ {self.most:g}"
        return f"≥ {self.least:g}" if self.least is not None else ""


def report(title: str, bars: Sequence[Bar], figures: Mapping[str, float]) -> int:
    """Print every measured figure and, last, all of them as JSON. 1 when a bar was missed, else 0."""
    table = Table(title=title)
    for heading in ("figure", "what", "measured", "asked for", ""):
        table.add_column(heading)
    missed = 0
    for bar in bars:
        if bar.figure not in figures:
            continue
        value = figures[bar.figure]
        missed += not bar.holds(value)
        table.add_row(bar.figure, bar.what, f"{value:,.2f}", str(bar), "" if bar.holds(value) else _miss(bar, figures))
    Console(width=140).print(table)
    sys.stdout.write(json.dumps({**figures, "missed": missed}) + "\n")
    return 1 if missed else 0


def _miss(bar: Bar, figures: Mapping[str, float]) -> str:
    """A time that was missed while others had the processors says little."""
    is_time = bar.figure.endswith(("_ms", "_s", "_rps"))
    return "missed, disturbed" if is_time and figures.get("disturbance", 1.0) > DISTURBED else "missed"


def disturbance() -> float:
    """How much longer than its processor time a computation takes now: 1 on a machine that does nothing else."""
    wall, busy = time.perf_counter(), time.process_time()
    while time.process_time() - busy < _SPIN_SECONDS:
        sum(range(1000))
    return (time.perf_counter() - wall) / _SPIN_SECONDS


def timed(action: Callable[[], object], count: int) -> list[float]:
    """Seconds of each of `count` calls."""
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return seconds


def percentile(values: Sequence[float], percent: int) -> float:
    """0 for no values, the only one for one."""
    if len(values) < 2:
        return values[0] if values else 0.0
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]

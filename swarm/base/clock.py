"""The clock type, and how durations and dates are spelled on the wire."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Unix seconds. `time.time` is handed in where the program is put together; tests hand in their own."""


def duration_text(seconds: float) -> str:
    """`4.84 sec`, and above two minutes `2.50 min` (swarm-t2i 6.4)."""
    return f"{seconds / 60:.2f} min" if seconds > 120 else f"{seconds:.2f} sec"


def date_text(unix: float) -> str:
    """`2026-08-01`, in local time."""
    return datetime.fromtimestamp(unix).strftime("%Y-%m-%d")

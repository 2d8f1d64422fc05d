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


def ago_text(seconds: float) -> str:
    """`12 seconds ago`, `1 minute and 5 seconds ago`: in the two largest units (swarm-core 6.5)."""
    whole = int(seconds)
    if whole <= 0:
        return "0 milliseconds ago" if seconds > 0 else "0 seconds ago"
    sizes = (("day", 86400), ("hour", 3600), ("minute", 60), ("second", 1))
    counts = [(name, whole // size % (24 if name == "hour" else 60)) for name, size in sizes[1:]]
    parts = [(name, count) for name, count in [("day", whole // 86400), *counts] if count]
    return " and ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in parts[:2]) + " ago"

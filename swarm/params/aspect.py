"""Aspect ratios and the sizes they stand for at a side length of 512 (swarm-t2i 3.9)."""

from __future__ import annotations

from collections.abc import Mapping

CUSTOM = "Custom"
"""The ratio that means "as width and height say"."""

REFERENCE_SIDE = 512

RATIOS: Mapping[str, tuple[int, int]] = {
    "1:1": (512, 512),
    "4:3": (576, 448),
    "3:2": (608, 416),
    "8:5": (608, 384),
    "16:9": (672, 384),
    "21:9": (768, 320),
    "3:4": (448, 576),
    "2:3": (416, 608),
    "5:8": (384, 608),
    "9:16": (384, 672),
    "9:21": (320, 768),
}


def size_of(ratio: str, side: int, precision: int) -> tuple[int, int] | None:
    """Width and height with about the area of a square of `side`, multiples of `precision`; None for other ratios."""
    if ratio not in RATIOS:
        return None
    width, height = RATIOS[ratio]
    return _rounded(width * side / REFERENCE_SIDE, precision), _rounded(height * side / REFERENCE_SIDE, precision)


def _rounded(value: float, precision: int) -> int:
    """Half goes to the even multiple, as the rest of the wire rounds."""
    return max(round(value / precision), 1) * precision

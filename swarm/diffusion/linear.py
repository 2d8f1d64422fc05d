"""Small systems of linear equations, and integrals of polynomials, in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

_GAUSS = (
    (0.1834346424956498, 0.3626837833783620),
    (0.5255324099163290, 0.3137066458778873),
    (0.7966664774136267, 0.2223810344533745),
    (0.9602898564975363, 0.1012285362903763),
)


def solved(rows: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """Gaussian elimination with pivots. `rows` is square and not singular."""
    size = len(wanted)
    table = [[*row, value] for row, value in zip(rows, wanted, strict=True)]
    for column in range(size):
        pivot = max(range(column, size), key=lambda row: abs(table[row][column]))
        table[column], table[pivot] = table[pivot], table[column]
        lead = table[column]
        for row in range(size):
            if row != column:
                factor = table[row][column] / lead[column]
                table[row] = [value - factor * other for value, other in zip(table[row], lead, strict=True)]
    return [table[row][size] / table[row][row] for row in range(size)]


def lagrange(nodes: Sequence[float], index: int, at: float) -> float:
    """At `at`: the polynomial that is 1 at nodes[index] and 0 at the other nodes."""
    others = [node for place, node in enumerate(nodes) if place != index]
    return prod((at - other) / (nodes[index] - other) for other in others)


def integral(function: Callable[[float], float], start: float, end: float) -> float:
    """Gauss quadrature with eight points: exact up to degree 15."""
    middle, reach = (start + end) / 2, (end - start) / 2
    pairs = (weight * (function(middle - reach * place) + function(middle + reach * place)) for place, weight in _GAUSS)
    return reach * sum(pairs)

"""How many rows a call takes: grows while it pays, stops where it does not, shrinks when memory runs out."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from swarm.engine.limits import RowLimit

pytestmark = pytest.mark.torch


def settle(limit: RowLimit, wanted: int, seconds_per_call: dict[int, float] | None = None, fixed: float = 0.0) -> int:
    """Make calls until the limit stands still; `fixed` seconds a call and one a row, if not told otherwise."""
    for _ in range(60):
        rows = limit.rows(wanted)
        limit.measured(rows, (seconds_per_call or {}).get(rows, fixed + rows))
    return limit.cap


def test_calls_grow_while_a_larger_one_costs_less_a_row() -> None:
    assert settle(RowLimit(), 32, fixed=40.0) == 32


def test_calls_stay_small_where_size_does_not_pay() -> None:
    limit = RowLimit()
    assert settle(limit, 32, fixed=0.0) == 2
    assert limit.rows(32) == 2


def test_growth_stops_where_it_turns() -> None:
    times = {2: 2.0, 4: 3.0, 8: 5.0, 16: 12.0}
    assert settle(RowLimit(), 64, times) == 8


def test_no_more_is_taken_than_is_wanted() -> None:
    limit = RowLimit()
    assert limit.rows(1) == 1
    settle(limit, 32, fixed=40.0)
    assert limit.rows(6) == 6


def test_running_out_of_memory_halves_for_good() -> None:
    limit = RowLimit()
    settle(limit, 32, fixed=40.0)
    assert limit.overflowed(32)
    assert settle(limit, 64, fixed=40.0) == 16
    assert not limit.overflowed(1)
    assert limit.rows(8) == 1


def test_a_fixed_limit_does_not_move() -> None:
    limit = RowLimit(fixed=6)
    assert settle(limit, 32, fixed=40.0) == 6

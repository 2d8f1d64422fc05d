"""Whose turn it is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.queue.fairness import DeviceTime, Share, by_turn

WAITING = st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 50), unique=True).map(sorted))
BURDENS = st.dictionaries(st.sampled_from("abcd"), st.floats(0, 100))


def test_device_time_fades_by_half_in_a_half_life() -> None:
    share = Share(seconds=8.0, at=0.0)
    assert share.recent(100.0, half_life=100.0) == pytest.approx(4.0)
    assert share.with_more(1.0, 100.0, half_life=100.0) == Share(seconds=5.0, at=100.0)


@pytest.mark.case("F19")
def test_a_clock_that_goes_back_changes_nothing() -> None:
    assert Share(seconds=8.0, at=1000.0).recent(0.0) == 8.0


def test_the_long_list_waits_for_the_short_one() -> None:
    assert by_turn({"ann": [1, 2, 3, 4], "bob": [5, 6]}, {}, 1.0, 6) == [1, 5, 2, 6, 3, 4]


def test_who_had_much_comes_later() -> None:
    assert by_turn({"ann": [1, 2], "bob": [3, 4]}, {"ann": 2.5}, 1.0, 4) == [3, 4, 1, 2]


@given(WAITING, BURDENS, st.floats(0.01, 10), st.integers(0, 60))
def test_turns_skip_nobody_and_keep_each_users_order(
    waiting: dict[str, list[int]], burdens: dict[str, float], typical: float, limit: int
) -> None:
    numbered = {user: [(user, number) for number in numbers] for user, numbers in waiting.items()}
    flat = {pair: place for place, pair in enumerate(pair for line in numbered.values() for pair in line)}
    lines = {user: [flat[pair] for pair in line] for user, line in numbered.items()}
    order = by_turn(lines, burdens, typical, limit)
    assert len(order) == min(limit, len(flat)) == len(set(order))
    for line in lines.values():
        taken = [number for number in order if number in line]
        assert taken == line[: len(taken)]


def test_running_jobs_count_before_their_length_is_known() -> None:
    now = [0.0]
    times = DeviceTime(lambda: now[0])
    times.begin("ann")
    assert times.burden("ann") == times.typical > times.burden("bob") == 0.0
    times.end("ann", 3.0)
    assert times.burden("ann") == pytest.approx(3.0)
    now[0] += 600
    assert times.recent("ann") == pytest.approx(1.5)

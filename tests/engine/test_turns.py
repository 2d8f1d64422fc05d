"""Who leads: first come first served, without swapping weights back and forth, without anybody waiting for ever."""

from __future__ import annotations

from swarm.engine.turns import SWAP_SECONDS, TURN_SECONDS, Turns, interleaved


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def turns(clock: Clock, swap: float = 0.0) -> Turns[str]:
    return Turns(lambda _current, _other: swap, clock)


def test_the_oldest_picture_leads_and_its_group_goes_on_while_it_lasts() -> None:
    order = turns(Clock())
    assert order.lead({}) is None
    assert order.lead({"small": 2.0, "large": 1.0}) == "large"
    assert order.lead({"small": 0.8, "large": 1.0}) == "large", "too little older to be worth a change"
    assert order.lead({"small": 0.4, "large": 1.0}) == "small"


def test_other_weights_must_be_worth_the_swap() -> None:
    order = turns(Clock(), swap=0.1)
    assert order.lead({"a": 5.0}) == "a"
    assert order.lead({"a": 5.0, "b": 5.1 - SWAP_SECONDS}) == "a"
    assert order.lead({"a": 5.0, "b": 4.9 - SWAP_SECONDS}) == "b"


def test_a_long_picture_gives_way_when_its_turn_is_over_and_gets_another() -> None:
    clock = Clock()
    order = turns(clock)
    waiting = {"long": 0.0, "short": 1.0}
    led = []
    for second in range(4 * int(TURN_SECONDS)):
        clock.now = float(second)
        led.append(order.lead(waiting))
    assert led[0] == "long"
    changes = [second for second in range(1, len(led)) if led[second] != led[second - 1]]
    assert changes == [int(TURN_SECONDS) * turn for turn in (1, 2, 3)]


def test_no_group_starves_among_many() -> None:
    clock = Clock()
    order = turns(clock, swap=1.0)
    waiting = {f"model {number}": float(number) / 10 for number in range(5)}
    led = set()
    for second in range(60):
        clock.now = float(second)
        led.add(order.lead(waiting))
    assert led == set(waiting)


def test_a_short_turn_is_not_cut_by_those_who_came_later() -> None:
    clock = Clock()
    order = turns(clock)
    assert order.lead({"a": 0.0, "b": 0.1}) == "a"
    clock.now = 1.0
    assert order.lead({"b": 0.1, "a": 0.9}) == "b", "the old pictures of a are done, and b has waited longer"


def test_users_take_turns_within_a_group() -> None:
    pictures = ["ann 1", "ann 2", "ann 3", "bob 1", "cy 1", "bob 2"]
    order = interleaved(pictures, lambda name: name.split()[0])
    assert order == ["ann 1", "bob 1", "cy 1", "ann 2", "bob 2", "ann 3"]
    assert interleaved([], lambda name: name) == []

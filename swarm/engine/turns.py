"""Whose turn it is: which group of walks the device works on next, and which of its pictures come first. Pure.

First come, first served, with two limits. The group that leads keeps a small lead over older ones, so that weights
are not swapped back and forth; and no group leads longer than its turn while another waits, so that one long picture
does not hold up everybody else's short ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Generic, TypeVar

STAY_SECONDS = 0.5
"""How much older a picture of another size must be to take the lead from the running group."""
SWAP_SECONDS = 2.0
"""The same, at least, for a group that needs other weights."""
TURN_SECONDS = 5.0
"""How long a group leads while another waits that runs on the same weights."""
SWAP_TURNS = 5.0
"""The same for other weights, in times of what the swap costs; at least twice TURN_SECONDS."""

G = TypeVar("G", bound=Hashable)
T = TypeVar("T")


class Turns(Generic[G]):
    """Remembers who leads and since when. `swap_seconds(from, to)`: what changing the lead costs, 0 for nothing."""

    def __init__(self, swap_seconds: Callable[[G, G], float], clock: Callable[[], float]) -> None:
        self._swap_seconds = swap_seconds
        self._clock = clock
        self._lead: G | None = None
        self._since = 0.0
        self._led_until: dict[G, float] = {}

    def lead(self, oldest: Mapping[G, float]) -> G | None:
        """The group to work on. `oldest`: when each group's oldest picture came."""
        self._led_until = {group: ended for group, ended in self._led_until.items() if group in oldest}
        chosen = self._chosen(oldest) if oldest else None
        if chosen != self._lead:
            if self._lead is not None and self._lead in oldest:
                self._led_until[self._lead] = self._clock()
            self._lead, self._since = chosen, self._clock()
        return chosen

    def _chosen(self, oldest: Mapping[G, float]) -> G:
        waits = {group: max(arrival, self._led_until.get(group, arrival)) for group, arrival in oldest.items()}
        current = self._lead
        if current is None or current not in oldest:
            return min(waits, key=lambda group: waits[group])
        others = [group for group in waits if group != current]
        if not others:
            return current
        first = min(others, key=lambda group: waits[group])
        swap = self._swap_seconds(current, first)
        turn = max(2 * TURN_SECONDS, SWAP_TURNS * swap) if swap else TURN_SECONDS
        lead = max(SWAP_SECONDS, swap) if swap else STAY_SECONDS
        is_over = self._clock() - self._since >= turn
        return first if is_over or waits[first] + lead < waits[current] else current


def interleaved(items: Iterable[T], user_of: Callable[[T], str]) -> list[T]:
    """The same items, users taking turns, each user's in the order given: with room for few, everybody gets some."""
    taken: Counter[str] = Counter()
    ranked = []
    for position, item in enumerate(items):
        user = user_of(item)
        ranked.append((taken[user], position, item))
        taken[user] += 1
    return [item for _rank, _position, item in sorted(ranked, key=lambda entry: entry[:2])]

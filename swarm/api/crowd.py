"""How many connections one address may hold, so that nobody takes the places of everyone else."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Collection

from swarm.accounts.limits import network_of

if sys.platform != "win32":
    import resource

MOST_FILES = 65_536


class Crowd:
    """Open connections by address. Only on the event loop.

    `most`: how many one address may hold, 0 for any number. `uncounted`: addresses that speak for many people.
    """

    def __init__(self, most: int, uncounted: Collection[str] = ()) -> None:
        self._most = most
        self._uncounted = frozenset(map(network_of, uncounted))
        self._held: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count a connection; False, and nothing is counted, when its address holds too many already."""
        key = network_of(address)
        if self._most and self._held[key] >= self._most and key not in self._uncounted:
            return False
        self._held[key] += 1
        return True

    def leave(self, address: str) -> None:
        """A connection that was counted has ended."""
        key = network_of(address)
        self._held[key] -= 1
        if self._held[key] <= 0:
            del self._held[key]

    def __len__(self) -> int:
        """How many connections there are."""
        return self._held.total()


def room_for(most: int) -> int:
    """`most`, or half of the connections that the system lets this process have if that is less.

    Asks the system for as many as it gives without further rights: what a shell sets is often 256 or 1024.
    """
    if sys.platform == "win32":
        return most
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            soft = wanted
        except (OSError, ValueError):  # macOS has a further limit of its own
            pass
    return min(most, soft // 2) if most and soft != resource.RLIM_INFINITY else most

"""Whose job is next: the user who has had the least device time lately. Pure arithmetic; nothing is stored.

Device time is remembered with a half-life, so that last week's work does not count against anybody. A job that is being
worked on counts as a typical one until its true length is known; otherwise a user could fill every slot at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

HALF_LIFE_SECONDS = 600.0
_FIRST_GUESS_SECONDS = 5.0
_GUESS_WEIGHT = 0.1


@dataclass(frozen=True, kw_only=True)
class Share:
    """Device seconds as they counted at time `at` (seconds on any steady clock)."""

    seconds: float = 0.0
    at: float = 0.0

    def recent(self, now: float, half_life: float = HALF_LIFE_SECONDS) -> float:
        """What those seconds count for now; a clock that went back does not make them grow."""
        return float(self.seconds * 0.5 ** (max(0.0, now - self.at) / half_life))

    def with_more(self, seconds: float, now: float, half_life: float = HALF_LIFE_SECONDS) -> Share:
        """This share after another `seconds` of device time that ended now."""
        return Share(seconds=self.recent(now, half_life) + max(0.0, seconds), at=max(now, self.at))


def by_turn(
    waiting: Mapping[str, Sequence[int]], burdens: Mapping[str, float], typical: float, limit: int
) -> list[int]:
    """The next `limit` job numbers: always from the user with the smallest burden, oldest first within a user.

    `waiting`: each user's job numbers, ascending. Each job taken adds `typical` seconds to its user's burden. Users
    with equal burdens are served by the age of their oldest job.
    """
    burden = {user: burdens.get(user, 0.0) for user in waiting}
    taken = dict.fromkeys(waiting, 0)
    order: list[int] = []
    while len(order) < limit:
        left = [user for user in waiting if taken[user] < len(waiting[user])]
        if not left:
            break
        user = min(left, key=lambda name: (burden[name], waiting[name][taken[name]]))
        order.append(waiting[user][taken[user]])
        taken[user] += 1
        burden[user] += typical
    return order


class DeviceTime:
    """Remembers how much device time each user has had lately. Not thread-safe; it lives on the event loop.

    `clock`: seconds, steady. Give `begin` and `end` every job; `burden` is what the order of users is made from.
    """

    def __init__(self, clock: Callable[[], float], half_life: float = HALF_LIFE_SECONDS) -> None:
        self._clock = clock
        self._half_life = half_life
        self._shares: dict[str, Share] = {}
        self._running: dict[str, int] = {}
        self.typical = _FIRST_GUESS_SECONDS

    def begin(self, user_id: str) -> None:
        """A job of this user is being worked on from now."""
        self._running[user_id] = self._running.get(user_id, 0) + 1

    def end(self, user_id: str, seconds: float) -> None:
        """One of this user's jobs ended after `seconds` of device time."""
        left = self._running.get(user_id, 0) - 1
        if left > 0:
            self._running[user_id] = left
        else:
            self._running.pop(user_id, None)
        self.typical += (seconds - self.typical) * _GUESS_WEIGHT
        self.charge(user_id, seconds)

    def charge(self, user_id: str, seconds: float) -> None:
        """Count device time that was spent outside `begin` and `end`, e.g. before a restart."""
        share = self._shares.get(user_id, Share())
        self._shares[user_id] = share.with_more(seconds, self._clock(), self._half_life)

    def recent(self, user_id: str) -> float:
        """Device seconds this user has had lately, faded by age."""
        return self._shares.get(user_id, Share()).recent(self._clock(), self._half_life)

    def burden(self, user_id: str) -> float:
        """Recent device time plus a typical job's worth for each job being worked on. Smallest goes first."""
        return self.burdens((user_id,))[user_id]

    def burdens(self, user_ids: Iterable[str]) -> dict[str, float]:
        """`burden` of many users at one moment; a user without any is 0."""
        now = self._clock()
        return {
            user_id: (share.recent(now, self._half_life) if (share := self._shares.get(user_id)) else 0.0)
            + self._running.get(user_id, 0) * self.typical
            for user_id in user_ids
        }

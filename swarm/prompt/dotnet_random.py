"""The seeded random generator of .NET, number for number, so that a seed picks what it picks elsewhere (swarm-t2i 5.3).

Knuth's subtractive generator with 32-bit wrap-around.
"""

from __future__ import annotations

_M = 2**31 - 1


def _wrapped(value: int) -> int:
    """`value` as a signed 32-bit integer."""
    return (value + 2**31) % 2**32 - 2**31


class DotnetRandom:
    """`System.Random(seed)`. `seed`: signed 32 bits, wrapped around if it has more."""

    def __init__(self, seed: int) -> None:
        state = [0] * 56
        low, high = 1, 161803398 - min(abs(_wrapped(seed)), _M)
        state[55] = high
        position = 0
        for _ in range(54):
            position = (position + 21) % 55
            state[position] = low
            low, high = _wrapped(high - low), low
            low = low + _M if low < 0 else low
            high = state[position]
        self._state = _stirred(state)
        self._next = 0
        self._other = 21

    def draw(self) -> int:
        """The next raw number, 0 to 2^31-2."""
        self._next = self._next % 55 + 1
        self._other = self._other % 55 + 1
        value = _wrapped(self._state[self._next] - self._state[self._other])
        value -= value == _M
        if value < 0:
            value += _M
        self._state[self._next] = value
        return value

    def below(self, limit: int) -> int:
        """A whole number from 0 to `limit` - 1."""
        return int(self.fraction() * limit)

    def fraction(self) -> float:
        """A number from 0 up to, not including, 1."""
        return self.draw() * (1.0 / _M)

    def between(self, low: int, high: int) -> int:
        """A whole number from `low` to `high`, both included; `low`, without drawing, when there is no choice."""
        count = high - low + 1
        if count <= 1:
            return low
        bits = (count - 1).bit_length()
        while True:
            wide = self.below(1 << 22) | self.below(1 << 22) << 22 | self.below(1 << 20) << 44
            value = wide >> (64 - bits)
            if value < count:
                return low + value


def _stirred(state: list[int]) -> list[int]:
    for _ in range(4):
        for index in range(1, 56):
            other = index + 30
            other -= 55 if other >= 55 else 0
            value = _wrapped(state[index] - state[1 + other])
            state[index] = value + _M if value < 0 else value
    return state

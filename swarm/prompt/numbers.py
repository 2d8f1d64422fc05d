"""Numbers in tags: plain ones, and ranges such as `1-5` or `0.2-0.85` that stand for a random one (swarm-t2i 5.2)."""

from __future__ import annotations

import math
import re

from swarm.prompt.tag import TagContext

MAX_COUNT = 100_000
_INTEGERS = re.compile(r"\s*([0-9]{1,15})\s*-\s*([0-9]{1,15})\s*")
_DECIMALS = re.compile(r"\s*([0-9]{0,15}\.?[0-9]{1,15})\s*-\s*([0-9]{0,15}\.?[0-9]{1,15})\s*")
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,15}(?:\.[0-9]{0,15})?|\.[0-9]{1,15})(?:[eE][+-]?[0-9]{1,3})?\s*")


def read_number(text: str) -> float | None:
    """A plain finite number, or None."""
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def pick_in_range(text: str, context: TagContext) -> str | None:
    """A random number of the range `text`, as text; None if it is no range.

    Both ends whole: any whole number of them and between. Else with as many decimals as the longer end.
    """
    if match := _INTEGERS.fullmatch(text):
        return str(context.rng.between(int(match[1]), int(match[2])))
    if match := _DECIMALS.fullmatch(text):
        low, high = float(match[1]), float(match[2])
        decimals = max(len(end.partition(".")[2]) for end in match.groups())
        return f"{context.rng.fraction() * (high - low) + low:.{decimals}f}"
    return None


def interpret_number(text: str, context: TagContext) -> float | None:
    """The number that `text` means after its tags are resolved and a range is drawn from; None if it means none."""
    text = context.expand(text)
    return read_number(pick_in_range(text, context) or text)


def interpret_count(text: str, context: TagContext) -> int | None:
    """As `interpret_number`, cut to a whole number and kept within 0 and 100,000."""
    number = interpret_number(text, context)
    return None if number is None else int(min(max(number, 0), MAX_COUNT))

"""Emphasis: `(text)`, `(text:1.3)` and escaped parentheses, as weighted spans of text (swarm-t2i 5.6).

Read as ComfyUI reads it, where parentheses that do not match have wide effects: from a `(` that is never closed, or a
`)` that was never opened, the rest is text, whatever stands in it. Works without recursion, in a time that grows with
the text and with how deep it is nested, to which there is a bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

STEP_UP = 1.1
"""What a pair of parentheses without a number multiplies the weight by."""

MAX_WEIGHT = 100.0
MAX_NESTING = 100
"""Parentheses nested deeper than this are text."""

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,2})?\s*")
_LONGEST_NUMBER = 60
_PARENTHESIS = re.compile(r"[()]")
_OPEN, _CLOSE = "\ue001", "\ue002"
"""Stand for escaped parentheses while the others are looked at."""


@dataclass(frozen=True)
class WeightedSpan:
    """A piece of a prompt and how strongly it counts; 1.0 is plain text."""

    text: str
    weight: float


def weighted_spans(text: str) -> list[WeightedSpan]:
    """`text` without its emphasis syntax, cut wherever a pair of parentheses begins or ends, even where the weight does
    not change: words are not joined over such a place. At least one span, even if empty.

    A number sets the weight, it does not multiply; weights are kept within plus and minus 100.
    """
    hidden = text.replace(_OPEN, "").replace(_CLOSE, "").replace("\\)", _CLOSE).replace("\\(", _OPEN)
    spans: list[WeightedSpan] = []
    waiting = [(part, 1.0, 0) for part in _parts(hidden)][::-1]
    while waiting:
        part, weight, depth = waiting.pop()
        if depth < MAX_NESTING and _is_group(part):
            inner, own = _opened(part, weight)
            waiting += [(one, own, depth + 1) for one in _parts(inner)][::-1]
        else:
            spans.append(WeightedSpan(part.replace(_CLOSE, ")").replace(_OPEN, "("), weight))
    return spans or [WeightedSpan("", 1.0)]


def _is_group(piece: str) -> bool:
    return len(piece) >= 2 and piece[0] == "(" and piece[-1] == ")"


def _opened(group: str, weight: float) -> tuple[str, float]:
    """A group's text and its weight, standing in text of `weight`."""
    text = group[1:-1]
    colon = text.rfind(":")
    number = text[colon + 1 :]
    if colon > 0 and len(number) <= _LONGEST_NUMBER and _NUMBER.fullmatch(number):
        return text[:colon], _kept(float(number))
    return text, _kept(weight * STEP_UP)


def _kept(weight: float) -> float:
    return min(max(weight, -MAX_WEIGHT), MAX_WEIGHT)


def _parts(text: str) -> Iterator[str]:
    """The outermost groups with their parentheses, and what stands between them.

    A parenthesis too many to the right leaves the count below none, from where a `(` opens nothing.
    """
    start = level = 0
    for found in _PARENTHESIS.finditer(text):
        if found.group() == "(":
            if level == 0 and start < found.start():
                yield text[start : found.start()]
            start = found.start() if level == 0 else start
            level += 1
            continue
        level -= 1
        if level == 0:
            yield text[start : found.end()]
            start = found.end()
    if start < len(text):
        yield text[start:]

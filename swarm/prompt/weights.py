"""Emphasis: `(text)`, `(text:1.3)` and escaped parentheses, as weighted spans of text (swarm-t2i 5.6).

A parenthesis without a partner is text. Works in linear time, without recursion, whatever the nesting.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

STEP_UP = 1.1
"""What a pair of parentheses without a number multiplies the weight by."""

MAX_WEIGHT = 100.0
_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*")


@dataclass(frozen=True)
class WeightedSpan:
    """A piece of a prompt and how strongly it counts; 1.0 is plain text."""

    text: str
    weight: float


def weighted_spans(text: str) -> list[WeightedSpan]:
    """`text` without its emphasis syntax, in pieces of equal weight; at least one, even if empty.

    A number sets the weight, it does not multiply; weights are kept within plus and minus 100.
    """
    merged: list[tuple[list[str], float]] = []
    for piece, weight in _pieces(text):
        if not piece:
            continue
        if merged and merged[-1][1] == weight:
            merged[-1][0].append(piece)
        else:
            merged.append(([piece], weight))
    return [WeightedSpan("".join(pieces), weight) for pieces, weight in merged] or [WeightedSpan("", 1.0)]


def _pieces(text: str) -> Iterator[tuple[str, float]]:
    groups = _groups(text)
    closing = {group.end: group.resume for group in groups.values()}
    weights = [1.0]
    start = index = 0
    while index < len(text):
        if text[index] == "\\" and text[index + 1 : index + 2] in ("(", ")"):
            yield text[start:index], weights[-1]
            start = index + 1
            index += 2
        elif index in groups:
            yield text[start:index], weights[-1]
            given = groups[index].weight
            raw = weights[-1] * STEP_UP if given is None else given
            weights.append(min(max(raw, -MAX_WEIGHT), MAX_WEIGHT))
            index = start = index + 1
        elif index in closing:
            yield text[start:index], weights.pop()
            index = start = closing[index]
        else:
            index += 1
    yield text[start:], weights[-1]


@dataclass(frozen=True)
class _Group:
    """A matched pair: `end` is where its text ends (at a colon or at `)`), `resume` is behind the `)`."""

    end: int
    resume: int
    weight: float | None


def _groups(text: str) -> dict[int, _Group]:
    """Matched pairs by the position of their `(`."""
    groups: dict[int, _Group] = {}
    opened: list[int] = []
    colon = -1
    index = 0
    while index < len(text):
        letter = text[index]
        if letter == "\\" and text[index + 1 : index + 2] in ("(", ")"):
            index += 1
        elif letter == ":":
            colon = index
        elif letter == "(":
            opened.append(index)
        elif letter == ")" and opened:
            start = opened.pop()
            weight = _weight(text[colon + 1 : index]) if start + 1 < colon and index - colon < 60 else None
            groups[start] = _Group(end=index if weight is None else colon, resume=index + 1, weight=weight)
        index += 1
    return groups


def _weight(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None

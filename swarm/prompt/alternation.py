"""Text that changes while sampling: `[a|b]`, `[a:b:when]`, `[a:when]`; and `<break>` (swarm-t2i 5.6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

MAX_NESTING = 50
"""Brackets nested deeper than this are text."""

MAX_BRACKETS = 1000
"""Brackets after so many are text."""

_SPECIAL = re.compile(r"<embed:[^<>]*>|\\[\[\]:|\\]|[\[\]|:()]")
_BREAK = re.compile(r"<break>", re.IGNORECASE)
_NUMBER = re.compile(r"\s*(?:[0-9]{1,9}(?:\.[0-9]{0,20})?|\.[0-9]{1,20})\s*")


_OVERLAP = 0.001
"""How much longer than its steps a text counts at either end, as a share of the walk."""


@dataclass(frozen=True)
class ScheduledText:
    """`text` is the prompt of the steps from `start` up to, not including, `end`."""

    text: str
    start: int
    end: int

    def shares(self, steps: int) -> tuple[float, float]:
        """From where to where it counts, of a whole walk of `steps` steps whose noise the model was trained on in even
        steps. Where one text follows another both count for a moment, as in SwarmUI: schedules that reach just that
        noise level mix them there."""
        first, last = self.start / steps - _OVERLAP, self.end / steps + _OVERLAP
        return (0.0 if self.start == 0 else first), (1.0 if self.end >= steps else last)


def prompt_schedule(text: str, steps: int) -> list[ScheduledText]:
    """The text of each range of steps, in order, from 0 to `steps` (at least 1). One range when nothing alternates.

    Brackets around plain text vanish where others in the prompt change with the steps; where none do, they are text.
    """
    steps = max(steps, 1)
    if "[" not in text or "]" not in text:
        return [ScheduledText(text, 0, steps)]
    parsed = _parse(text)
    if not _changes(parsed, steps):
        return [ScheduledText(text.replace("\\[", "[").replace("\\]", "]"), 0, steps)]
    ranges: list[ScheduledText] = []
    for shown, run in groupby(range(steps), key=lambda step: _render(parsed, step, steps)):
        first, *rest = run
        ranges.append(ScheduledText(shown, first, first + len(rest) + 1))
    return ranges


def split_breaks(text: str) -> list[str]:
    """The parts between `<break>` tags, empty ones too; at least one."""
    return _BREAK.split(text)


@dataclass
class _Bracket:
    """The parts between a bracket's separators. A colon separates only outside `parentheses` (there it is a weight)."""

    parts: list[_Parts] = field(default_factory=lambda: [[]])
    separators: list[str] = field(default_factory=list)
    parentheses: int = 0


_Parts: TypeAlias = "list[str | _Bracket]"


def _parse(text: str) -> _Parts:
    """Literal pieces and brackets, nested. Escapes are resolved; a bracket without a partner is a literal."""
    stack = [_Bracket()]
    opened = plain_from = 0
    for match in _SPECIAL.finditer(text):
        here, mark = stack[-1], match.group()
        here.parts[-1].append(text[plain_from : match.start()])
        plain_from = match.end()
        if mark[0] == "<":
            here.parts[-1].append(mark)
        elif mark == "[" and opened < MAX_BRACKETS and len(stack) <= MAX_NESTING:
            stack.append(_Bracket())
            opened += 1
        elif mark == "]" and len(stack) > 1:
            stack.pop()
            stack[-1].parts[-1] += [here] if here.separators else here.parts[0]
        elif len(stack) > 1 and (mark == "|" or (mark == ":" and here.parentheses == 0)):
            here.separators.append(mark)
            here.parts.append([])
        else:
            here.parentheses += (mark == "(") - (mark == ")")
            here.parts[-1].append(mark[-1])
    stack[-1].parts[-1].append(text[plain_from:])
    while len(stack) > 1:
        open_one = stack.pop()
        stack[-1].parts[-1] += ["[", *_literally(open_one)]
    return stack[0].parts[0]


def _literally(bracket: _Bracket) -> _Parts:
    """The bracket's content with its separators written out again."""
    flat: _Parts = list(bracket.parts[0])
    for separator, part in zip(bracket.separators, bracket.parts[1:], strict=True):
        flat += [separator, *part]
    return flat


def _render(parts: _Parts, step: int, steps: int) -> str:
    return "".join(
        part if isinstance(part, str) else _render(_chosen(part, step, steps), step, steps) for part in parts
    )


def _changes(parts: _Parts, steps: int) -> bool:
    """Whether a bracket among them stands for different texts at different steps."""
    brackets = [part for part in parts if isinstance(part, _Bracket)]
    if any("|" in one.separators or _when(one, steps) is not None for one in brackets):
        return True
    return any(_changes(inner, steps) for one in brackets for inner in one.parts)


def _chosen(bracket: _Bracket, step: int, steps: int) -> _Parts:
    """What the bracket stands for at `step`."""
    if "|" in bracket.separators:
        options = _split_at_bars(bracket)
        return options[step % len(options)]
    when = _when(bracket, steps)
    if when is None:
        return _literally(bracket)
    *texts, _ = bracket.parts
    before, after = texts if len(texts) == 2 else ([], texts[0])
    return after if step >= when else before


def _split_at_bars(bracket: _Bracket) -> list[_Parts]:
    """The alternatives; colons between bars are text."""
    options: list[_Parts] = [list(bracket.parts[0])]
    for separator, part in zip(bracket.separators, bracket.parts[1:], strict=True):
        if separator == "|":
            options.append(list(part))
        else:
            options[-1] += [separator, *part]
    return options


def _when(bracket: _Bracket, steps: int) -> float | None:
    """The step at which the first text gives way; numbers below 1 are a fraction of all steps. None if nothing does."""
    if len(bracket.parts) not in (2, 3):
        return None
    text = "".join(part for part in bracket.parts[-1] if isinstance(part, str))
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number * steps if number < 1 else number

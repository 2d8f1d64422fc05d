"""What a segment looks for: words, or a detector's findings (swarm-t2i 9.13)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

_YOLO = re.compile(r"yolo-(?P<model>[^:]+?)(?:-(?P<index>[0-9]{1,4}))?(?::(?P<classes>[^:]*):?)?")


@dataclass(frozen=True, kw_only=True)
class TextMatch:
    """Whatever the words describe."""

    text: str


@dataclass(frozen=True, kw_only=True)
class YoloMatch:
    """What the detector `model` finds. `index`: only the n-th, from 1; None for all. `classes`: ids or names; empty
    for every class."""

    model: str
    index: int | None = None
    classes: tuple[str, ...] = ()


Matcher: TypeAlias = TextMatch | YoloMatch


def parse_matchers(match: str) -> tuple[Matcher, ...]:
    """The parts between bars, blank ones dropped."""
    return tuple(_matcher(text) for part in match.split("|") if (text := part.strip()))


def _matcher(text: str) -> Matcher:
    found = _YOLO.fullmatch(text)
    if found is None:
        return TextMatch(text=text)
    classes = tuple(name for part in (found["classes"] or "").split(",") if (name := part.strip()))
    index = int(found["index"]) if found["index"] else None
    return YoloMatch(model=found["model"].strip(), index=index or None, classes=classes)

"""Where the tags of a prompt begin and end, and how their data splits (swarm-t2i 5.1 and 5.2). Linear in the text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_ANGLES = re.compile(r"[<>]")


@dataclass(frozen=True)
class TagUse:
    """One outermost `<name[predata]:data>`. `name` is lower case; `predata` and `data` are None when absent."""

    source: str
    name: str
    predata: str | None
    data: str | None

    @property
    def body(self) -> str:
        """The data, empty when absent."""
        return self.data or ""

    @property
    def subject(self) -> str:
        """The name that `<var:name>` and `<var[name]>` carry."""
        return (self.body.strip() or self.predata or "").strip()


def split_tags(text: str) -> list[str | TagUse]:
    """Plain text and outermost tags, in order. From an unclosed `<` on, everything is plain text."""
    pieces: list[str | TagUse] = []
    plain_from = opened_at = depth = 0
    for match in _ANGLES.finditer(text):
        if match.group() == "<":
            opened_at = match.start() if depth == 0 else opened_at
            depth += 1
        elif depth:
            depth -= 1
            if depth == 0:
                if plain_from < opened_at:
                    pieces.append(text[plain_from:opened_at])
                pieces.append(_tag(text[opened_at : match.end()]))
                plain_from = match.end()
    if plain_from < len(text):
        pieces.append(text[plain_from:])
    return pieces


def _tag(source: str) -> TagUse:
    inner = source[1:-1]
    colon = next(_outside(inner, ":"), None)
    head = inner if colon is None else inner[:colon]
    data = None if colon is None else inner[colon + 1 :]
    bracket = next(_outside(head, "["), None)
    if bracket is None or not head.endswith("]"):
        return TagUse(source, head.lower(), None, data)
    return TagUse(source, head[:bracket].lower(), head[bracket + 1 : -1], data)


def split_smart(text: str) -> list[str]:
    """The options of a list: split at `||` if it occurs outside nested tags, else at `|`, else at `,`; trimmed."""
    for separator in ("||", "|", ","):
        parts = _split(text, separator)
        if len(parts) > 1:
            break
    return [part.strip() for part in parts]


def split_once(text: str, separator: str) -> tuple[str, str | None]:
    """The text before and after the first `separator` outside nested tags; None for the second when there is none."""
    at = next(_outside(text, separator), None)
    return (text, None) if at is None else (text[:at], text[at + len(separator) :])


def _split(text: str, separator: str) -> list[str]:
    parts: list[str] = []
    start = 0
    for at in _outside(text, separator):
        if at >= start:
            parts.append(text[start:at])
            start = at + len(separator)
    return [*parts, text[start:]]


def _outside(text: str, wanted: str) -> Iterator[int]:
    """Positions of `wanted` that are not inside `<…>`."""
    depth = 0
    for match in re.finditer(rf"[<>]|{re.escape(wanted)}", text):
        if match.group() == "<":
            depth += 1
        elif match.group() == ">":
            depth = max(depth - 1, 0)
        elif depth == 0:
            yield match.start()

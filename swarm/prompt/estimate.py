"""A prompt about as long as its tags will make it, for counting tokens while it is typed (swarm-core 7.1)."""

from __future__ import annotations

import re
from collections.abc import Collection

from swarm.prompt.lexer import TagUse, split_smart, split_tags

_CUTS = ("segment", "object", "region", "clear", "extend")
_CHOICES = frozenset({"random", "alternate", "alt", "fromto"})
_WRITTEN = frozenset({"break"})
_MOST_REPEATS = 100
_COUNT = re.compile(r"\s*(?:\d{1,4}\s*-\s*)?(\d{1,4})\s*")


def without_syntax(text: str, tags: Collection[str]) -> str:
    """`text` up to its first section of another kind, each tag named in `tags` replaced by the longest it may become.

    Choices become their longest option; what sets, loads or looks up something becomes nothing. `<break>` and unknown
    tags stay as they are.
    """
    for name in _CUTS:
        text = text.partition(f"<{name}:")[0]
    return _estimated(text, frozenset(tags), 8)


def _estimated(text: str, tags: frozenset[str], depth: int) -> str:
    if "<" not in text or depth == 0:
        return text
    return "".join(piece if isinstance(piece, str) else _longest(piece, tags, depth - 1) for piece in split_tags(text))


def _longest(tag: TagUse, tags: frozenset[str], depth: int) -> str:
    if tag.name not in tags or tag.name in _WRITTEN:
        return tag.source
    if tag.name in _CHOICES:
        options = [_estimated(option, tags, depth) for option in split_smart(tag.body)]
        return max(options, key=len, default="")
    if tag.name == "repeat":
        count, text = (tag.predata, tag.body) if tag.predata is not None else tag.body.partition(",")[::2]
        found = _COUNT.fullmatch(count or "")
        return " ".join([_estimated(text, tags, depth)] * min(int(found[1]), _MOST_REPEATS)) if found else tag.source
    return ""

"""How tags write what is settled only when all tags are resolved, and how sections carry their ids.

Alternation tags write their brackets as control characters that no prompt may contain, so that brackets inside their
parts can be told apart and made literal; `written_out` turns them into the encoder's syntax at the end. `TRIGGERS`
stands where the phrases of LoRAs go that tags ask for later, `MORE_TRIGGERS` where others stand already.
"""

from __future__ import annotations

import re

OPEN, CLOSE, BAR, COLON, TRIGGERS, MORE_TRIGGERS = "\x01", "\x02", "\x03", "\x04", "\x05", "\x06"

_FORBIDDEN = re.compile(r"[\x00-\x07]")
_SECTION = re.compile(r"//cid=([0-9]{1,6})>")
_SECTION_AT_END = re.compile(r"//cid=([0-9]{1,6})$")
_WRITTEN = str.maketrans({OPEN: "[", CLOSE: "]", BAR: "|", COLON: ":"})
_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in "\\:|[]"})


def without_marks(text: str) -> str:
    """`text` as a person may write it: without NUL, BEL and the marks."""
    return _FORBIDDEN.sub("", text)


def escaped(text: str) -> str:
    """`text` with the letters that mean something to the encoder's step syntax made literal."""
    return text.translate(_ESCAPED)


def written_out(text: str, phrases: str = "") -> str:
    """`text` with marks replaced by the brackets, bars and colons they stand for, and `phrases` where they belong."""
    more = f", {phrases}" if phrases else ""
    return text.replace(TRIGGERS, phrases).replace(MORE_TRIGGERS, more).translate(_WRITTEN)


def marked(tag: str, section: int) -> str:
    """The tag that begins a section, given without its angles, with the section's id."""
    return f"<{tag}//cid={section}>"


def unmarked(text: str) -> tuple[str, int | None]:
    """A tag's name or data without the section id at its end, and that id."""
    found = _SECTION_AT_END.search(text)
    return (text[: found.start()], int(found[1])) if found else (text, None)


def last_section(text: str) -> int | None:
    """The id of the section that `text` ends in; None when it begins none."""
    ids = _SECTION.findall(text) if "//cid=" in text else []
    return int(ids[-1]) if ids else None


def highest_section(text: str) -> int:
    """The highest section id in `text`, 0 without any."""
    return max((int(found[1]) for found in _SECTION.finditer(text)), default=0)

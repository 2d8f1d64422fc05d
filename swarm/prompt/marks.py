"""How alternation tags write their brackets while tags are still being resolved.

They use control characters that no prompt may contain, so that brackets inside their parts can be told apart and made
literal; `written_out` turns them into the encoder's syntax at the end.
"""

from __future__ import annotations

import re

OPEN, CLOSE, BAR, COLON = "\x01", "\x02", "\x03", "\x04"

_FORBIDDEN = re.compile(r"[\x00-\x04\x07]")
_WRITTEN = str.maketrans({OPEN: "[", CLOSE: "]", BAR: "|", COLON: ":"})
_ESCAPED = str.maketrans({letter: f"\\{letter}" for letter in "\\:|[]"})


def without_marks(text: str) -> str:
    """`text` as a person may write it: without NUL, BEL and the marks."""
    return _FORBIDDEN.sub("", text)


def escaped(text: str) -> str:
    """`text` with the letters that mean something to the encoder's step syntax made literal."""
    return text.translate(_ESCAPED)


def written_out(text: str) -> str:
    """`text` with marks replaced by the brackets, bars and colons they stand for."""
    return text.translate(_WRITTEN)

"""One spelling for letters with accents, in time that grows with the text and not with its square."""

from __future__ import annotations

import unicodedata

MOST_MARKS = 30
"""How many marks one letter may carry (Unicode's Stream-Safe Text Format); no script stacks more."""

_SHORT = 1000


def composed(text: str) -> str:
    """`text` in NFC. Of a letter with more marks than MOST_MARKS the others go: putting a million into order takes
    minutes."""
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text if len(text) <= _SHORT else _with_few_marks(text))


def _with_few_marks(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for letter in text:
        marks = marks + 1 if unicodedata.combining(letter) else 0
        if marks <= MOST_MARKS:
            kept.append(letter)
    return "".join(kept)

"""Names of accounts and roles (swarm-core 2.6)."""

from __future__ import annotations

_RESERVED = (
    "shared local admin owner moderator user users poweruser guest guests registered login account system root role "
    "roles tracked permission permissions"
)
RESERVED = frozenset(_RESERVED.split())
"""Names that nobody can give themselves."""


def clean_name(text: str) -> str:
    """ASCII letters, digits and _ in lower case; everything else is dropped, look-alikes of other scripts included."""
    return "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter == "_")).lower()

"""Identifiers: how display names become ids, and how random ids are made."""

from __future__ import annotations

import secrets
import string


def clean_id(name: str) -> str:
    """A display name or request key as an id: lower case, only the letters a to z kept (swarm-t2i 2.4)."""
    return "".join(letter for letter in name.lower() if letter in string.ascii_lowercase)


def new_session_id() -> str:
    """40 lower-case hex characters from 20 random bytes (swarm-core 2.2)."""
    return secrets.token_hex(20)


def new_job_id() -> str:
    """32 lower-case hex characters; unique for one picture of one request."""
    return secrets.token_hex(16)

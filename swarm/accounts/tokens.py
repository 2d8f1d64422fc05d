"""Login tokens: what the cookie `swarm_token` holds (swarm-core 2.4). Only a hash of each is kept.

A token's secret is 128 random bits, so one round of a fast hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from swarm.base.database import Database, readable
from swarm.base.json import JsonObject

_FORM = re.compile(r"([0-9a-fA-F]{2,900})\.([0-9a-f]{32})\.([0-9a-f]{32})")
_LONGEST = 1000
_LONGEST_AGENT = 500
_MIGRATIONS = (
    """
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        user_id TEXT NOT NULL,
        address TEXT NOT NULL,
        agent TEXT NOT NULL,
        created REAL NOT NULL,
        last_active REAL NOT NULL,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL
    );
    CREATE INDEX tokens_by_user ON tokens (user_id, created);
    """,
)


@dataclass(frozen=True, kw_only=True)
class Token:
    """One login. `agent`: the program it was made by, or the reason its owner gave. Times are unix seconds."""

    id: str
    user_id: str
    address: str
    agent: str
    created: float
    last_active: float

    def to_wire(self, *, is_current: bool) -> JsonObject:
        """The token object of swarm-core 5.18."""
        return {
            "id": self.id,
            "created": int(self.created),
            "last_active": int(self.last_active),
            "user_agent": self.agent or "unknown",
            "origin_address": self.address or "unknown",
            "is_current": is_current,
        }


class TokenStore:
    """All login tokens. Every method blocks on the disk."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        database.prepare("tokens", _MIGRATIONS)

    def create(self, user_id: str, *, address: str, agent: str) -> str:
        """A new token for the user: the text to be handed out, which cannot be had again."""
        id, secret, salt = secrets.token_hex(16), secrets.token_hex(16), secrets.token_bytes(16)
        now = self._clock()
        row = (id, user_id, address, agent[:_LONGEST_AGENT], now, now, salt, _hashed(secret, salt))
        try:
            with self._database.write() as connection:
                connection.execute("INSERT INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise readable(error) from None
        return f"{user_id.encode().hex()}.{id}.{secret}"

    def check(self, text: str) -> Token | None:
        """The token a text stands for, now noted as active; None for anything else."""
        found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None or len(found[1]) % 2:
            return None
        user_id, id, secret = bytes.fromhex(found[1]).decode("utf-8", "replace"), found[2], found[3]
        rows = self._database.read("SELECT user_id, salt, hash FROM tokens WHERE id = ?", (id,))
        if not rows or rows[0][0] != user_id or not hmac.compare_digest(_hashed(secret, rows[0][1]), rows[0][2]):
            return None
        with self._database.write_if_possible() as connection:
            connection.execute("UPDATE tokens SET last_active = ? WHERE id = ?", (self._clock(), id))
        return next((token for token in self.of_user(user_id) if token.id == id), None)

    def of_user(self, user_id: str) -> list[Token]:
        """The user's tokens, oldest first."""
        rows = self._database.read(
            "SELECT id, user_id, address, agent, created, last_active FROM tokens WHERE user_id = ? ORDER BY created",
            (user_id,),
        )
        names = ("id", "user_id", "address", "agent", "created", "last_active")
        return [Token(**dict(zip(names, row, strict=True))) for row in rows]

    def revoke(self, user_id: str, id: str) -> bool:
        """Delete one of the user's tokens; whether there was one."""
        try:
            with self._database.write() as connection:
                done = connection.execute("DELETE FROM tokens WHERE user_id = ? AND id = ?", (user_id, id))
                return done.rowcount > 0
        except sqlite3.Error as error:
            raise readable(error) from None


def _hashed(secret: str, salt: bytes) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()

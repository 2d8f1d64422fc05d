"""Login tokens: what the cookie `swarm_token` holds (swarm-core 2.4). Only a hash of each is kept.

A token's secret is 128 random bits, so one round of a fast hash is enough: there is nothing to guess.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass

from swarm.base.database import Database, readable
from swarm.base.json import JsonObject

_FORM = re.compile(r"([0-9a-fA-F]{2,900})\.([0-9a-f]{32})\.([0-9a-f]{32})")
_LONGEST = 1000
_LONGEST_AGENT = 500
_PROVEN_SECONDS = 60.0
_MOST_PROVEN = 10_000
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
    """All login tokens. Every method but `proven` blocks on the disk."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        self._proven: dict[bytes, tuple[Token, float]] = {}
        database.prepare("tokens", _MIGRATIONS)

    def proven(self, text: str) -> Token | None:
        """The token of a text that `check` has found good within the last minute. Never blocks."""
        found = self._proven.get(_digest(text))
        return found[0] if found is not None and abs(self._clock() - found[1]) <= _PROVEN_SECONDS else None

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
        known = self.proven(text)
        return known if known is not None else self._check(text)

    def _check(self, text: str) -> Token | None:
        found = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
        if found is None or len(found[1]) % 2:
            return None
        user_id, id, secret = bytes.fromhex(found[1]).decode("utf-8", "replace"), found[2], found[3]
        with self._lock:  # against a revocation between the look and the note that it is good
            rows = self._database.read("SELECT user_id, salt, hash FROM tokens WHERE id = ?", (id,))
            if not rows or rows[0][0] != user_id or not hmac.compare_digest(_hashed(secret, rows[0][1]), rows[0][2]):
                return None
            now = self._clock()
            with self._database.write_if_possible() as connection:
                connection.execute("UPDATE tokens SET last_active = ? WHERE id = ?", (now, id))
            token = next((token for token in self.of_user(user_id) if token.id == id), None)
            if token is not None:
                if len(self._proven) >= _MOST_PROVEN:
                    self._proven.clear()
                self._proven[_digest(text)] = (token, now)
            return token

    def exists(self, id: str) -> bool:
        """Whether there is a token of that id."""
        return bool(self._database.read("SELECT 1 FROM tokens WHERE id = ?", (id,)))

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
        return self._delete("user_id = ? AND id = ?", (user_id, id)) > 0

    def revoke_all(self, user_id: str, *, but: str | None = None) -> int:
        """Delete the user's tokens, all or all but one; returns how many there were."""
        return self._delete("user_id = ? AND id <> ?", (user_id, but or ""))

    def _delete(self, where: str, values: tuple[str, ...]) -> int:
        try:
            with self._lock:
                self._proven.clear()
                with self._database.write() as connection:
                    done = connection.execute(f"DELETE FROM tokens WHERE {where}", values)
                    return done.rowcount
        except sqlite3.Error as error:
            raise readable(error) from None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _hashed(secret: str, salt: bytes) -> bytes:
    return hashlib.sha256(salt + secret.encode()).digest()

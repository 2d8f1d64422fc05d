"""What users leave with the server: small JSON values by user and key, kept over restarts. Knows no key's meaning."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import orjson

from swarm.base.database import Database, readable
from swarm.base.errors import BadInput
from swarm.base.json import Json, dumps, loads

PRESET_LINKS = "preset_links"
STARRED_MODELS = "starred_models"
PARAM_EDITS = "param_edits"

MAX_BYTES = 4 * 1024 * 1024
"""The largest value one key may have, as JSON."""

_MIGRATIONS = (
    """
    CREATE TABLE user_data (
        user_id TEXT NOT NULL,
        key TEXT NOT NULL,
        value BLOB NOT NULL,
        changed REAL NOT NULL,
        PRIMARY KEY (user_id, key)
    ) WITHOUT ROWID;
    CREATE INDEX user_data_by_key ON user_data (key);
    """,
)


class UserData:
    """The values. Every method blocks on the disk. Writers raise Refused when the disk takes nothing."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        database.prepare("user_data", _MIGRATIONS)

    def get(self, user_id: str, key: str) -> Json:
        """The value, None when it was never set."""
        rows = self._database.read("SELECT value FROM user_data WHERE user_id = ? AND key = ?", (user_id, key))
        return loads(rows[0][0]) if rows else None

    def changed(self, user_id: str, key: str) -> float | None:
        """When the value was last set, in unix seconds; None when there is none."""
        rows = self._database.read("SELECT changed FROM user_data WHERE user_id = ? AND key = ?", (user_id, key))
        return rows[0][0] if rows else None

    def everyones(self, key: str) -> dict[str, Json]:
        """The value of one key by user id."""
        rows = self._database.read("SELECT user_id, value FROM user_data WHERE key = ?", (key,))
        return {user_id: loads(value) for user_id, value in rows}

    def has(self, user_id: str) -> bool:
        """Whether the user left anything here."""
        return bool(self._database.read("SELECT 1 FROM user_data WHERE user_id = ? LIMIT 1", (user_id,)))

    def users(self) -> list[str]:
        """Ids of everyone who left something here."""
        return [row[0] for row in self._database.read("SELECT DISTINCT user_id FROM user_data")]

    def set(self, user_id: str, key: str, value: Json) -> None:
        """Replace the value. Raises BadInput when it is too large or nested too deeply."""
        data = compact(value)
        try:
            with self._database.write() as connection:
                row = (user_id, key, data, self._clock())
                connection.execute("INSERT OR REPLACE INTO user_data VALUES (?, ?, ?, ?)", row)
        except sqlite3.Error as error:
            raise readable(error) from None

    def remove(self, user_id: str, key: str) -> None:
        """Forget the value, if there is one."""
        try:
            with self._database.write() as connection:
                connection.execute("DELETE FROM user_data WHERE user_id = ? AND key = ?", (user_id, key))
        except sqlite3.Error as error:
            raise readable(error) from None

    def remove_user(self, user_id: str) -> None:
        """Forget everything of one user."""
        try:
            with self._database.write() as connection:
                connection.execute("DELETE FROM user_data WHERE user_id = ?", (user_id,))
        except sqlite3.Error as error:
            raise readable(error) from None


def compact(value: Json) -> bytes:
    """A value from a client as JSON to be kept. Raises BadInput when it is too large or nested too deeply."""
    try:
        data = dumps(value)
    except orjson.JSONEncodeError:
        raise BadInput("This is nested too deeply to be kept.") from None
    if len(data) > MAX_BYTES:
        raise BadInput(f"This is too much to be kept: at most {MAX_BYTES // 1024} KiB fit.")
    return data

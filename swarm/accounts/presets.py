"""Saved presets: named sets of parameter texts, per user (swarm-t2i 8.1). Previews stay on disk, the rest in memory."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from swarm.accounts.userdata import compact
from swarm.base.database import Database, readable
from swarm.base.errors import Refused
from swarm.base.json import Json, JsonObject, loads

PLACEHOLDER = "imgs/model_placeholder.jpg"
"""The preview of a preset that has none of its own."""

MAX_PRESETS = 20_000
MAX_BYTES = 256 * 1024 * 1024
"""What all presets of one user may take up, previews included."""

_RENAMED = {
    "saveintermediateimages": "outputintermediateimages",
    "textvideofps": "videofps",
    "textvideoboomerang": "videoboomerang",
    "textvideoformat": "videoformat",
}
_MIGRATIONS = (
    """
    CREATE TABLE presets (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        user_id TEXT NOT NULL,
        key TEXT NOT NULL,
        title TEXT NOT NULL,
        description TEXT NOT NULL,
        params BLOB NOT NULL,
        starred INTEGER NOT NULL,
        preview TEXT,
        UNIQUE (user_id, key)
    );
    """,
)


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One preset. `params`: parameter id to text. `has_preview`: whether a picture of its own is kept."""

    author: str
    title: str
    description: str
    params: Mapping[str, str]
    is_starred: bool = False
    has_preview: bool = False

    @property
    def key(self) -> str:
        """Titles that differ in case only are the same preset."""
        return self.title.lower()

    def to_wire(self, preview_image: str) -> JsonObject:
        """The preset object of swarm-core 5.7."""
        return {
            "author": self.author,
            "title": self.title,
            "description": self.description,
            "preview_image": preview_image,
            "is_starred": self.is_starred,
            "param_map": dict(self.params),
        }


class PresetStore:
    """All presets of all users, in the order they were made.

    `edit_id` rises with every change. `find`, `of_user` and `texts` never block; what else there is touches the disk.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, Preset]] = {}
        self.edit_id = 0
        database.prepare("presets", _MIGRATIONS)
        rows = database.read(
            "SELECT user_id, title, description, params, starred, preview IS NOT NULL FROM presets ORDER BY number"
        )
        for user_id, title, description, params, starred, has_preview in rows:
            preset = Preset(
                author=user_id,
                title=title,
                description=description,
                params=_current_ids(cast(dict[str, str], loads(params))),
                is_starred=bool(starred),
                has_preview=bool(has_preview),
            )
            self._known.setdefault(user_id, {})[preset.key] = preset

    def of_user(self, user_id: str) -> Sequence[Preset]:
        """The user's presets, oldest first."""
        return list(self._known.get(user_id, {}).values())

    def find(self, user_id: str, title: str) -> Preset | None:
        """A preset by its title, in any case."""
        return self._known.get(user_id, {}).get(title.lower())

    def texts(self, user_id: str) -> Mapping[str, Mapping[str, str]]:
        """What requests need to know: parameter texts by lower-case title."""
        return {key: preset.params for key, preset in self._known.get(user_id, {}).items()}

    def preview(self, user_id: str, title: str) -> str | None:
        """The preview as a data URL, if the preset has one."""
        values = (user_id, title.lower())
        rows = self._database.read("SELECT preview FROM presets WHERE user_id = ? AND key = ?", values)
        return rows[0][0] if rows else None

    def save(self, preset: Preset, preview: str | None, *, instead_of: str | None = None) -> None:
        """Keep a preset with its preview; one of the same title is replaced.

        `instead_of`: the title of the preset that this one was made from; it is gone afterwards, and its place in the
        order is this one's. Raises Refused when the user has too many, or the disk takes nothing.
        """
        user_id, key = preset.author, preset.key
        kept = replace(preset, params=_current_ids(preset.params), has_preview=preview is not None)
        with self._lock:
            known = self._known.get(user_id, {})
            before = key if instead_of is None or instead_of.lower() not in known else instead_of.lower()
            if before not in known and len(known) >= MAX_PRESETS:
                raise Refused(f"You have {MAX_PRESETS} presets, which is as many as can be kept.")
            if self._size(user_id, but=before) + _size_of(kept, preview) > MAX_BYTES:
                raise Refused(f"Your presets take up {MAX_BYTES // 2**20} MiB, which is as much as can be kept.")
            with self._writing() as connection:
                if before != key:
                    connection.execute("DELETE FROM presets WHERE user_id = ? AND key = ?", (user_id, key))
                    renamed = (key, user_id, before)
                    connection.execute("UPDATE presets SET key = ? WHERE user_id = ? AND key = ?", renamed)
                connection.execute(_UPSERT, _row(kept, preview))
            self._known[user_id] = _placed(known, before, kept)
            self.edit_id += 1

    def _size(self, user_id: str, *, but: str) -> int:
        """Bytes of the user's presets, one of them left out."""
        sum_of = "LENGTH(title) + LENGTH(description) + LENGTH(params) + COALESCE(LENGTH(preview), 0)"
        wanted = f"SELECT COALESCE(SUM({sum_of}), 0) FROM presets WHERE user_id = ? AND key <> ?"
        size: int = self._database.read(wanted, (user_id, but))[0][0]
        return size

    def remove(self, user_id: str, title: str) -> bool:
        """Delete a preset; whether there was one."""
        key = title.lower()
        with self._lock:
            if key not in self._known.get(user_id, {}):
                return False
            with self._writing() as connection:
                connection.execute("DELETE FROM presets WHERE user_id = ? AND key = ?", (user_id, key))
            self._known[user_id] = {other: one for other, one in self._known[user_id].items() if other != key}
            self.edit_id += 1
        return True

    def remove_user(self, user_id: str) -> None:
        """Delete all presets of a user."""
        with self._lock:
            with self._writing() as connection:
                connection.execute("DELETE FROM presets WHERE user_id = ?", (user_id,))
            self._known.pop(user_id, None)
            self.edit_id += 1

    @contextmanager
    def _writing(self) -> Any:
        try:
            with self._database.write() as connection:
                yield connection
        except sqlite3.Error as error:
            raise readable(error) from None


_UPSERT = """
    INSERT INTO presets (user_id, key, title, description, params, starred, preview) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (user_id, key) DO UPDATE SET title = excluded.title, description = excluded.description,
        params = excluded.params, starred = excluded.starred, preview = excluded.preview
"""


def _size_of(preset: Preset, preview: str | None) -> int:
    return len(preset.title) + len(preset.description) + sum(map(len, preset.params.values())) + len(preview or "")


def _row(preset: Preset, preview: str | None) -> tuple[Any, ...]:
    params = compact(cast(Json, dict(preset.params)))
    return (preset.author, preset.key, preset.title, preset.description, params, preset.is_starred, preview)


def _placed(known: Mapping[str, Preset], before: str, preset: Preset) -> dict[str, Preset]:
    """`known` with `preset` where `before` stood, or at the end; nothing else of its title stays."""
    placed: dict[str, Preset] = {}
    for key, one in known.items():
        if key == before:
            placed[preset.key] = preset
        elif key != preset.key:
            placed[key] = one
    placed.setdefault(preset.key, preset)
    return placed


def _current_ids(params: Mapping[str, str]) -> dict[str, str]:
    """Parameters that have a new name are found under it, unless the preset has the new one as well."""
    renamed = {id: _RENAMED.get(id, id) for id in params}
    return {new: params[id] for id, new in renamed.items() if new == id or new not in params}


PresetTexts = Callable[[str], Mapping[str, Mapping[str, str]]]
"""User id -> lower-case title -> parameter id -> text."""

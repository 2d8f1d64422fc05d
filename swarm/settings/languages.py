"""Translations of the page: JSON files called `<code>.json`, with `name_en`, `name_local` and `keys` (swarm-core 9.5).

English is what everything is written in. Others are read from the folder `Languages` of the data, in the format of
SwarmUI, whose files can be put there. Blocking.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swarm.base.errors import BadInput
from swarm.base.json import loads

_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_LARGEST = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Language:
    """`keys`: translations by English text; texts without one are not in it."""

    code: str
    name: str
    local_name: str
    keys: Mapping[str, str]


ENGLISH = Language(code="en", name="English", local_name="English", keys={})


class Languages:
    """The folder's files, read when they are asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def codes(self) -> list[str]:
        """English first, then the others in alphabetical order."""
        files = self._folder.glob("*.json") if self._folder.is_dir() else ()
        return ["en", *sorted(path.stem for path in files if path.stem != "en" and _CODE.fullmatch(path.stem))]

    def find(self, code: str) -> Language | None:
        """A language by its code; None when there is none or its file cannot be used."""
        path = self._folder / f"{code}.json"
        if not _CODE.fullmatch(code) or not path.is_file() or path.stat().st_size > _LARGEST:
            return ENGLISH if code == "en" else None
        try:
            told = loads(path.read_bytes())
        except (OSError, BadInput):
            return None
        keys = told.get("keys") if isinstance(told, Mapping) else None
        if not isinstance(told, Mapping) or not isinstance(keys, Mapping):
            return None
        return Language(
            code=code,
            name=str(told.get("name_en", code)),
            local_name=str(told.get("name_local", code)),
            keys={key: text for key, text in keys.items() if isinstance(text, str) and text},
        )

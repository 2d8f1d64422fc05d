"""What an extension says about itself in its `extension.toml`."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.base.errors import BadInput

OFF = "switched-off"
"""A file beside `extension.toml` that says not to load the extension."""

_ID = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 2000


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """`id` is the name of its folder: lower-case letters, digits and `_`. The other texts are for people."""

    id: str
    name: str
    version: str
    description: str = ""
    author: str = ""
    license: str = ""
    url: str = ""


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an extension folder. Blocking. Raises BadInput with a sentence when it cannot be used."""
    try:
        table = tomllib.loads((folder / "extension.toml").read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"The file extension.toml of {folder.name} cannot be read: {error}.") from None
    manifest = Manifest(
        id=_text(folder, table, "id"),
        name=_text(folder, table, "name"),
        version=_text(folder, table, "version"),
        description=_text(folder, table, "description", required=False),
        author=_text(folder, table, "author", required=False),
        license=_text(folder, table, "license", required=False),
        url=_text(folder, table, "url", required=False),
    )
    if not _ID.fullmatch(manifest.id) or manifest.id != folder.name:
        raise BadInput(f"The extension in {folder.name} must have that as its id, in lower-case letters, digits and _.")
    return manifest


def _text(folder: Path, table: dict[str, Any], key: str, *, required: bool = True) -> str:
    value = table.get(key, None if required else "")
    if not isinstance(value, str) or (required and not value) or len(value) > _LONGEST:
        raise BadInput(f"The file extension.toml of {folder.name} needs a text for '{key}'.")
    return value

"""The backends file (`Backends.fds`): which backends there are, and their settings. Written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from swarm.base import fds
from swarm.base.atomic import make_folder, write_whole
from swarm.base.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Record:
    """One backend as the file has it. A record of an unknown type is kept, so that no settings are lost."""

    id: int
    type: str
    title: str
    enabled: bool
    settings: Mapping[str, Any]


def read_records(path: Path) -> list[Record] | None:
    """The records by id; None when there is no file. Raises BadInput when it cannot be understood."""
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is not text.") from None
    tree = fds.parse(text)
    return sorted((_record(key, value) for key, value in tree.items()), key=lambda record: record.id)


def _record(key: str, value: Any) -> Record:
    if not key.lstrip("-").isdigit() or not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise BadInput(f"The entry '{key}' is not a backend.")
    settings = value.get("settings")
    return Record(
        id=int(key),
        type=value["type"],
        title=str(value.get("title") or ""),
        enabled=str(value.get("enabled", "true")).lower() != "false",
        settings=settings if isinstance(settings, dict) else {},
    )


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Replace the file; a crash leaves the old or the new one. Raises OSError."""
    tree: dict[str, fds.Value] = {
        str(record.id): {
            "type": record.type,
            "title": record.title,
            "enabled": record.enabled,
            "settings": record.settings,
        }
        for record in sorted(records, key=lambda record: record.id)
    }
    make_folder(path.parent)
    write_whole(path, fds.write(tree).encode())


def set_aside(path: Path) -> Path:
    """Move an unreadable file out of the way; returns where it went."""
    aside = path.with_name(path.name + ".bad")
    path.replace(aside)
    return aside

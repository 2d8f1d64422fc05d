"""What another Swarm says of its backends and models, read with patience: unknown fields are left alone. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import devnull
from pathlib import Path
from typing import Any

from swarm.architectures.architecture import Architecture
from swarm.catalog.model import ModelEntry, ModelInfo

TITLE_MARK = "[Remote from "
MOST_HOPS = 8
_NOWHERE = Path(devnull)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One backend of a remote. `servers`: ids of the servers that its work passes through behind the remote."""

    id: int
    type: str
    title: str
    status: str
    features: frozenset[str]
    can_load_models: bool
    max_usages: int
    current_model: str | None
    servers: tuple[str, ...]


def entries_of(answer: Mapping[str, Any]) -> list[Entry]:
    """The backends of a ListBackends answer; what is no backend is skipped."""
    found = []
    for value in answer.values():
        if isinstance(value, dict) and isinstance(value.get("id"), int) and isinstance(value.get("status"), str):
            found.append(_entry(value))
    return found


def _entry(value: Mapping[str, Any]) -> Entry:
    current = value.get("current_model")
    return Entry(
        id=value["id"],
        type=str(value.get("type") or ""),
        title=str(value.get("title") or ""),
        status=value["status"],
        features=frozenset(map(str, _list(value.get("features")))),
        can_load_models=bool(value.get("can_load_models", False)),
        max_usages=max(0, int(value["max_usages"])) if isinstance(value.get("max_usages"), int) else 1,
        current_model=current if isinstance(current, str) and current else None,
        servers=tuple(map(str, _list(value.get("servers")))),
    )


def leads_back(entry: Entry, own_id: str) -> bool:
    """Work given to it would come back to this server, or wander too far."""
    return own_id in entry.servers or entry.title.count(TITLE_MARK) >= MOST_HOPS


def models_of(answer: Mapping[str, Any], subtype: str, architectures: Mapping[str, Architecture]) -> list[ModelEntry]:
    """The models of a ListModels answer as entries without a file."""
    return [
        _model(value, subtype, architectures)
        for value in _list(answer.get("files"))
        if isinstance(value, dict) and isinstance(value.get("name"), str) and value["name"]
    ]


def _model(value: Mapping[str, Any], subtype: str, architectures: Mapping[str, Architecture]) -> ModelEntry:
    info = ModelInfo(
        title=_text(value, "title"),
        author=_text(value, "author"),
        description=_text(value, "description"),
        width=_whole(value, "standard_width"),
        height=_whole(value, "standard_height"),
        license=_text(value, "license"),
        date=_text(value, "date"),
        prediction_type=_text(value, "prediction_type"),
        usage_hint=_text(value, "usage_hint"),
        trigger_phrase=_text(value, "trigger_phrase"),
        tags=tuple(map(str, value["tags"])) if isinstance(value.get("tags"), list) else None,
        is_negative_embedding=value.get("is_negative_embedding") is True,
        lora_default_weight=_text(value, "lora_default_weight") or "",
        lora_default_confinement=_text(value, "lora_default_confinement") or "",
        hash=_text(value, "hash") or "",
        special_format=_text(value, "special_format") or "",
    )
    return ModelEntry(
        subtype=subtype,
        name=value["name"],
        path=_NOWHERE / value["name"].replace("\0", ""),
        found_in=Path(),
        mtime_ns=_whole(value, "time_modified") * 1_000_000,
        created_ns=_whole(value, "time_created") * 1_000_000,
        size=0,
        info=info,
        architecture=architectures.get(str(value.get("architecture"))),
        is_remote=True,
    )


def _text(value: Mapping[str, Any], key: str) -> str | None:
    found = value.get(key)
    return found if isinstance(found, str) else None


def _whole(value: Mapping[str, Any], key: str) -> int:
    found = value.get(key)
    return found if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**53 else 0


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()

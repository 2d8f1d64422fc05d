"""Backend settings: dataclass <-> form, wire values and file values (swarm-models-backends 3.2, 3.3). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from swarm.backends.backend import SettingMeta
from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject

SECRET = "\t<secret>"


def setting_fields(kind: type[Any]) -> Iterator[tuple[str, str, SettingMeta, Any]]:
    """(Python name, wire name, what was declared, default) of each setting, in the order they were written."""
    for one in fields(kind):
        meta: SettingMeta | None = one.metadata.get("setting")
        if meta is not None:
            yield one.name, meta.name or _wire_name(one.name), meta, one.default


def _wire_name(name: str) -> str:
    """`over_queue` is `OverQueue`; a name that has capitals is kept as it is."""
    return name if name != name.lower() else "".join(part.capitalize() for part in name.split("_"))


def kind_of(meta: SettingMeta, default: Any) -> str:
    """The wire's word: text, integer, decimal, boolean or dropdown."""
    if meta.kind:
        return meta.kind
    if meta.values is not None:
        return "dropdown"
    words = {bool: "boolean", int: "integer", float: "decimal"}
    return words.get(type(default), "text")


def form(kind: type[Any]) -> list[JsonObject]:
    """The settings of a backend type as ListBackendTypes describes them."""
    return [
        {
            "name": wire,
            "type": kind_of(meta, default),
            "description": meta.description,
            "placeholder": meta.placeholder,
            "is_secret": meta.secret,
            "values": list(meta.values) if meta.values is not None else None,
            "value_names": list(meta.value_names or meta.values) if meta.values is not None else None,
        }
        for _, wire, meta, default in setting_fields(kind)
    ]


def to_json(settings: Any, *, masked: bool) -> dict[str, Json]:
    """Values by wire name. `masked`: a secret that is set shows as a tab and `<secret>`."""
    values: dict[str, Json] = {}
    for name, wire, meta, _ in setting_fields(type(settings)):
        value = getattr(settings, name)
        values[wire] = SECRET if masked and meta.secret and value else value
    return values


def changed(settings: Any, given: Mapping[str, Any]) -> Any:
    """A copy of `settings` with the given values, keyed by wire name in any case.

    Unknown names, null for text and an unchanged secret are skipped. Raises BadInput when a value does not fit.
    """
    by_name = {key.lower(): value for key, value in given.items()}
    updates = {}
    for name, wire, _, default in setting_fields(type(settings)):
        value = by_name.get(wire.lower(), SECRET)
        if value == SECRET or (value is None and isinstance(default, str)):
            continue
        updates[name] = _as_type_of(default, value, wire)
    return replace(settings, **updates)


def _as_type_of(default: Any, value: Any, wire: str) -> Any:
    """`value` converted to the declared type (swarm-core 4.2)."""
    try:
        if isinstance(default, bool):
            return _as_bool(value)
        if isinstance(default, int):
            return int(value) if isinstance(value, bool) else round(float(value))
        if isinstance(default, float):
            return float(value)
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str | int | float):
            return str(value)
    except (ValueError, TypeError, OverflowError):
        pass
    raise BadInput(f"The setting '{wire}' cannot be '{value}'.")


def _as_bool(value: Any) -> bool:
    if isinstance(value, str):
        word = value.strip().lower()
        if word not in ("true", "false"):
            raise ValueError(word)
        return word == "true"
    return bool(float(value))

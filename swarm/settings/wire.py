"""Settings trees on the wire: the settings map that forms are made of, and the changes that come back (swarm-core 4.1,
4.2). Pure."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any, TypeVar

from swarm.base.errors import BadInput
from swarm.base.json import Json, JsonObject
from swarm.settings.setting import Setting, SettingField, described

SECRET = "\t<secret>"
"""What is shown instead of a secret, set or not. As a change it means that the secret stays as it is."""

LIST_SEPARATOR = " || "
Tree = TypeVar("Tree")
_TYPES = {str: "text", int: "integer", float: "decimal", bool: "boolean", tuple[str, ...]: "list"}
_TRUTHS = {"true": True, "false": False}
_logger = logging.getLogger(__name__)


def settings_map(kind: type[Any], values: Any, *, leave_out: Collection[str] = ()) -> JsonObject:
    """The settings of `values`, an instance of the settings dataclass `kind`, by lower-case name in declared order.

    `leave_out`: lower-case dotted paths that are not listed (`roles`).
    """
    return _map(kind, values, kind(), "", frozenset(leave_out))


def changed_settings(current: Tree, changes: Mapping[str, Json], *, leave_out: Collection[str] = ()) -> Tree:
    """`current` with the changes, which go by dotted path in any case (`outpathbuilder.format`). All of them, or none.

    Paths that lead nowhere, to a group or into `leave_out`, null for a text, and a secret that was sent back as it was
    shown are skipped. Options and ranges are not enforced. Raises BadInput for a value of the wrong type.
    """
    return with_settings(current, accepted(type(current), changes, leave_out=leave_out))


def accepted(kind: type[Any], changes: Mapping[str, Json], *, leave_out: Collection[str] = ()) -> dict[str, Json]:
    """The changes that act, by lower-case path, as values of the declared type (a list of texts is a list here)."""
    known = _leaves(kind, "")
    taken: dict[str, Json] = {}
    for path, value in changes.items():
        key = path.lower()
        if key not in known or key in leave_out:
            _logger.warning("The setting %.80r does not exist or cannot be changed here; it is skipped.", path)
        elif not (known[key].type is str and value is None) and not (known[key].about.secret and value == SECRET):
            taken[key] = _converted(known[key], path, value)
    return taken


def with_settings(current: Tree, values: Mapping[str, Json]) -> Tree:
    """`current` with values that were `accepted` for its type."""
    fresh: dict[str, Any] = {}
    for each in described(type(current)):
        key = each.about.name.lower()
        if is_dataclass(each.type):
            inner = {path[len(key) + 1 :]: value for path, value in values.items() if path.startswith(key + ".")}
            if inner:
                fresh[each.attribute] = with_settings(getattr(current, each.attribute), inner)
        elif key in values:
            value = values[key]
            fresh[each.attribute] = tuple(value) if isinstance(value, list) else value
    return replace(current, **fresh) if fresh else current  # type: ignore[type-var]


def _map(kind: type[Any], values: Any, defaults: Any, path: str, leave_out: frozenset[str]) -> dict[str, Json]:
    shown: dict[str, Json] = {}
    for each in described(kind):
        key = each.about.name.lower()
        value, default = getattr(values, each.attribute), getattr(defaults, each.attribute)
        if path + key in leave_out:
            continue
        if is_dataclass(each.type) and isinstance(each.type, type):
            shown[key] = _entry("group", each.about, _map(each.type, value, default, f"{path}{key}.", leave_out))
        elif each.about.secret:
            shown[key] = _entry(_type_name(each), each.about, SECRET)
        else:
            shown[key] = {**_entry(_type_name(each), each.about, _shown(value)), "default_value": _shown(default)}
    return shown


def _entry(type_name: str, about: Setting, value: Json) -> dict[str, Json]:
    return {
        "type": type_name,
        "name": about.name,
        "value": value,
        "description": about.help,
        "values": None if about.options is None else list(about.options),
        "value_names": None if about.option_names is None else list(about.option_names),
        "is_secret": about.secret,
    }


def _type_name(each: SettingField) -> str:
    return "dropdown" if each.type is str and each.about.options is not None else _TYPES[each.type]


def _shown(value: Any) -> Json:
    shown: Json = LIST_SEPARATOR.join(value) if isinstance(value, tuple) else value
    return shown


def _leaves(kind: type[Any], path: str) -> dict[str, SettingField]:
    """Every setting that is no group, by lower-case dotted path."""
    found: dict[str, SettingField] = {}
    for each in described(kind):
        here = path + each.about.name.lower()
        if is_dataclass(each.type) and isinstance(each.type, type):
            found.update(_leaves(each.type, here + "."))
        else:
            found[here] = each
    return found


def _converted(each: SettingField, path: str, value: Json) -> Json:
    try:
        if each.type is str:
            return _text(value)
        if each.type is bool:
            return _truth(value)
        if each.type is int:
            return _whole(value)
        return _number(value) if each.type is float else _texts(value)
    except (ValueError, OverflowError):
        word = {"list": "a list of texts", "boolean": "true or false", "text": "a text", "dropdown": "a text"}
        wanted = word.get(_type_name(each), "a number")
        raise BadInput(f"The setting '{path[:80]}' needs {wanted}.") from None


def _text(value: Json) -> str:
    """Any scalar as text. Raises ValueError, as all of these do."""
    if isinstance(value, bool):
        return "True" if value else "False"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError


def _truth(value: Json) -> bool:
    if isinstance(value, str):
        if value.strip().lower() not in _TRUTHS:
            raise ValueError
        return _TRUTHS[value.strip().lower()]
    return _number(value) != 0


def _whole(value: Json) -> int:
    """Fractions are rounded half to even. 32 bits."""
    number = value if isinstance(value, int) else round(_number(value))
    if not -(2**31) <= number < 2**31:
        raise ValueError
    return int(number)


def _number(value: Json) -> float:
    if not isinstance(value, str | int | float):
        raise ValueError
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _texts(value: Json) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, Sequence):
        raise ValueError
    return [_text(each) for each in value]

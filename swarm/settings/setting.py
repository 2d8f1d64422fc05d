"""How a settings field is declared: a dataclass field that carries its wire name and its help text.

    port: int = setting(7801, "Port", "Where the server listens.")

Readers of a tree (file, wire form, backend forms) ask `described(cls)` and need no second list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")
_KEY = "setting"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a field says about itself. `options`: allowed texts, None for free ones; `secret`: never sent to anyone."""

    name: str
    help: str
    options: tuple[str, ...] | None = None
    option_names: tuple[str, ...] | None = None
    secret: bool = False


@dataclass(frozen=True, kw_only=True)
class SettingField:
    """A field of a settings dataclass: attribute name, Python type, description. Groups have a dataclass as `type`."""

    attribute: str
    type: Any
    about: Setting


def setting_meta(
    name: str,
    help: str,
    *,
    options: Sequence[str] | None = None,
    option_names: Sequence[str] | None = None,
    secret: bool = False,
) -> Mapping[str, Any]:
    """The `metadata` of a dataclass field that is a setting. `name` is spelled as on the wire (`MaxPromptLines`)."""
    names = option_names if option_names is not None else options
    about = Setting(
        name=name,
        help=help,
        options=None if options is None else tuple(options),
        option_names=None if names is None else tuple(names),
        secret=secret,
    )
    return {_KEY: about}


def setting(
    default: T,
    name: str,
    help: str,
    *,
    options: Sequence[str] | None = None,
    option_names: Sequence[str] | None = None,
    secret: bool = False,
) -> T:
    """A settings field with its default, for use in a frozen dataclass."""
    metadata = setting_meta(name, help, options=options, option_names=option_names, secret=secret)
    return field(default=default, metadata=metadata)


def described(kind: type[Any]) -> Iterator[SettingField]:
    """The fields of a settings dataclass that carry a description, in declared order."""
    hints = get_type_hints(kind)
    for each in fields(kind):
        about = each.metadata.get(_KEY)
        if isinstance(about, Setting):
            yield SettingField(attribute=each.name, type=hints[each.name], about=about)

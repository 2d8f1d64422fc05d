"""Settings files: typed trees <-> SwarmUI's `Settings.fds`. Unknown keys are kept out of the tree, never an error."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from swarm.base import fds
from swarm.base.atomic import copy_whole, make_folder, write_whole
from swarm.base.errors import BadInput
from swarm.settings.server import ServerSettings
from swarm.settings.setting import SettingField, described

T = TypeVar("T")
_log = logging.getLogger(__name__)
_TRUTHS = {"true": True, "false": False}


def load_settings(path: Path) -> ServerSettings:
    """The settings in a file; defaults where it is silent, absent or says something unusable.

    A file whose syntax is broken is set aside as `<name>.bad`, so that the next save does not destroy it, and its last
    good copy is used where there is one (`keep_good`). Blocking.
    """
    try:
        tree = fds.parse(path.read_text("utf-8", errors="replace"))
    except FileNotFoundError:
        return ServerSettings()
    except BadInput as error:
        bad = path.with_name(path.name + ".bad")
        path.replace(bad)
        good = _good_copy(path)
        if not good.exists():
            _log.error("%s: %s It is now %s, and the defaults are used.", path.name, error.sentence, bad.name)
            return ServerSettings()
        _log.error("%s: %s It is now %s, and its last good copy is used.", path.name, error.sentence, bad.name)
        copy_whole(good, path)
        return from_tree(ServerSettings, _present(good))
    return from_tree(ServerSettings, tree)


def keep_good(path: Path) -> None:
    """Remember a file that could be read, for the day when it cannot. Nothing when there is none. Blocking."""
    if not path.exists():
        return
    try:
        data, good = path.read_bytes(), _good_copy(path)
        if not good.exists() or good.read_bytes() != data:
            write_whole(good, data)
    except OSError as error:
        _log.warning("The settings could not be copied: %s", error.strerror)


def _good_copy(path: Path) -> Path:
    return path.with_name(path.name + ".good")


def save_settings(settings: ServerSettings, path: Path) -> None:
    """Write the file whole or not at all, with every setting's help above it. Blocking.

    What another program keeps in the same file, such as SwarmUI the settings that do not act here, stays in it.
    """
    text = fds.write(_with_others(to_tree(settings), _present(path)), dict(_comments(type(settings), ())))
    make_folder(path.parent)
    write_whole(path, text.encode())


def from_tree(kind: type[T], tree: Mapping[str, fds.Node]) -> T:
    """A settings dataclass from a parsed tree. Keys match in any case; what does not fit is logged and skipped."""
    by_name = {key.lower(): value for key, value in tree.items()}
    values: dict[str, Any] = {}
    for each in described(kind):
        if each.about.name.lower() not in by_name:
            continue
        try:
            values[each.attribute] = _value(each, by_name[each.about.name.lower()])
        except ValueError as error:
            _log.warning("The setting %s keeps its default: %s", each.about.name, error)
    return kind(**values)


def _value(each: SettingField, node: fds.Node) -> Any:
    """The Python value of a node. Raises ValueError with the reason."""
    if is_dataclass(each.type) and isinstance(each.type, type):
        return from_tree(each.type, node if isinstance(node, dict) else {})
    if each.type == tuple[str, ...]:
        items = node if isinstance(node, list) else [node] if node else []
        return tuple(item for item in items if isinstance(item, str))
    if not isinstance(node, str):
        raise ValueError("it needs one value.")
    if each.type is bool:
        if node.lower() not in _TRUTHS:
            raise ValueError(f"'{node}' is neither true nor false.")
        return _TRUTHS[node.lower()]
    return each.type(node)


def to_tree(settings: Any) -> dict[str, fds.Value]:
    """A settings dataclass as a tree with wire names."""
    tree: dict[str, fds.Value] = {}
    for each in described(type(settings)):
        value = getattr(settings, each.attribute)
        tree[each.about.name] = to_tree(value) if is_dataclass(value) else value
    return tree


def _present(path: Path) -> Mapping[str, fds.Node]:
    """What the file holds now; nothing when it is absent or cannot be read."""
    try:
        return fds.parse(path.read_text("utf-8", errors="replace"))
    except (FileNotFoundError, BadInput):
        return {}


def _with_others(tree: Mapping[str, fds.Value], present: Mapping[str, fds.Node]) -> dict[str, fds.Value]:
    """`tree`, and behind its keys those of `present` that it does not have in any case."""
    by_name = {key.lower(): value for key, value in present.items()}
    merged: dict[str, fds.Value] = {}
    for key, value in tree.items():
        other = by_name.get(key.lower())
        merged[key] = _with_others(value, other) if isinstance(value, Mapping) and isinstance(other, dict) else value
    own = {key.lower() for key in tree}
    return {**merged, **{key: value for key, value in present.items() if key.lower() not in own}}


def _comments(kind: type[Any], path: fds.Path) -> Iterator[tuple[fds.Path, str]]:
    for each in described(kind):
        here = (*path, each.about.name)
        yield here, each.about.help
        if is_dataclass(each.type) and isinstance(each.type, type):
            yield from _comments(each.type, here)

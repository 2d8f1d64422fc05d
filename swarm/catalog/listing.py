"""One folder of a model set, as the model browser asks for it (swarm-models-backends 1.7, ListModels). Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from swarm.base.errors import BadInput

MAX_LISTED = 5000
_MAX_DEPTH = 20


class Listed(Protocol):
    """A model or a wildcard list."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def created_ns(self) -> int: ...
    @property
    def mtime_ns(self) -> int: ...


T = TypeVar("T", bound=Listed)
_SORTS: dict[str, Callable[[Listed], Any]] = {
    "name": lambda entry: _fold(entry.name),
    "title": lambda entry: (_fold(entry.title or ""), _fold(entry.name)),
    "datecreated": lambda entry: (-entry.created_ns, _fold(entry.name)),
    "datemodified": lambda entry: (-entry.mtime_ns, _fold(entry.name)),
}


@dataclass(frozen=True, kw_only=True)
class Listing(Generic[T]):
    """`folders`: relative to the folder asked for, without a slash at the end."""

    folders: tuple[str, ...]
    entries: tuple[T, ...]


def list_folder(
    entries: Iterable[T],
    path: str,
    depth: int,
    *,
    sort_by: str = "Name",
    reverse: bool = False,
    cap: int = MAX_LISTED,
) -> Listing[T]:
    """Models at most `depth` (1 to 20) folders below `path`, and the folders on the way. Raises BadInput.

    No more are looked at once there are more than `cap`.
    """
    order = _SORTS.get(sort_by.lower())
    if order is None:
        raise BadInput(f"Invalid sort mode '{sort_by}'.")
    depth = min(max(depth, 1), _MAX_DEPTH)
    prefix = clean_folder(path)
    folders: dict[str, None] = {}
    listed: list[T] = []
    for entry in entries:
        if not entry.name.startswith(prefix) or len(entry.name) == len(prefix):
            continue
        parents = entry.name[len(prefix) :].split("/")[:-1]
        for level in range(1, min(len(parents), depth) + 1):
            folders["/".join(parents[:level])] = None
        if len(parents) < depth:
            listed.append(entry)
            if len(listed) > cap:
                break
    listed.sort(key=order, reverse=reverse)
    return Listing(folders=tuple(sorted(folders, key=_fold)), entries=tuple(listed))


def clean_folder(path: str) -> str:
    """A folder as models' names begin with it: empty, or ending in `/`."""
    cleaned = re.sub("/{2,}", "/", path.replace("\\", "/") + "/" if path else "")
    return cleaned.removeprefix("/")


def _fold(text: str) -> tuple[str, str]:
    return text.lower(), text

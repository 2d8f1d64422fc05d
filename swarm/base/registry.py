"""Declared values, found by walking packages. Nothing registers itself and nothing happens at import.

A route, a parameter, a sampler, a prompt tag … is a frozen object with an `id`, bound to a module-level name. At start
the app calls `collect(package, Kind)` and owns what it gets back; two apps in one process share nothing.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from swarm.base.errors import SwarmError


class Declared(Protocol):
    """Anything that can be collected: it has an id that is unique among its kind."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Declared)


class DuplicateId(SwarmError):
    """Two different values of one kind carry the same id; the start stops and names both."""


class Registry(Mapping[str, T], Generic[T]):
    """The collected values of one kind: a read-only mapping from id to value, in collection order."""

    def __init__(self, values: Iterable[tuple[str, T]] = ()) -> None:
        """`values`: pairs of (where it was found, value). Raises DuplicateId."""
        self._values: dict[str, T] = {}
        self._origins: dict[str, str] = {}
        for origin, value in values:
            known = self._values.get(value.id)
            if known is value:
                continue
            if known is not None:
                raise DuplicateId(f"'{value.id}' is declared twice: in {self._origins[value.id]} and in {origin}.")
            self._values[value.id] = value
            self._origins[value.id] = origin

    def __getitem__(self, key: str) -> T:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def origin(self, key: str) -> str:
        """Dotted module name in which the value was found; for error texts and docs."""
        return self._origins[key]

    def joined(self, other: Registry[T]) -> Registry[T]:
        """Both registries in one; raises DuplicateId where they disagree."""
        pairs = [(self._origins[key], value) for key, value in self._values.items()]
        pairs += [(other._origins[key], value) for key, value in other._values.items()]
        return Registry(pairs)


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """The package itself and every module below it, by name, imported."""
    yield package
    for info in sorted(pkgutil.walk_packages(package.__path__, package.__name__ + "."), key=lambda info: info.name):
        yield importlib.import_module(info.name)


def declared_in(module: ModuleType, kind: type[T]) -> Iterator[tuple[str, T]]:
    """Public module-level values of `kind`, in the order they were written."""
    for name, value in vars(module).items():
        if isinstance(value, kind) and not name.startswith("_"):
            yield module.__name__, value


def collect(package: ModuleType, kind: type[T]) -> Registry[T]:
    """Every value of `kind` declared anywhere in `package`. Raises DuplicateId."""
    return Registry(pair for module in modules(package) for pair in declared_in(module, kind))

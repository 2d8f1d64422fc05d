"""What one request asked for: an immutable set of parameter values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, TypeVar

from swarm.base.json import Json
from swarm.params.param import Param

T = TypeVar("T")
_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class GenerationInput:
    """Parameter values by id, in the order they were given. Read with `input.get(PARAM)`; the type follows the param.

    `values` hold plain values only: str, int, float, bool, tuple[str, ...], Picture, tuple[Picture, ...]
    (models are their full names, extension included). `extra`: extra metadata to record with the picture
    (from `extra_metadata`, `presets_used` …).
    """

    values: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    extra: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)

    def get(self, param: Param[T]) -> T:
        """The value asked for, or the parameter's default."""
        value: T = self.values.get(param.id, param.default)
        return value

    def given(self, param: Param[T]) -> T | None:
        """The value asked for, or None when the request is silent about it."""
        return self.values.get(param.id)

    def has(self, param: Param[Any]) -> bool:
        return param.id in self.values

    def having(self, param: Param[T], value: T) -> GenerationInput:
        """A copy that says `value`; keeps the position of a value that was already there."""
        return replace(self, values=MappingProxyType({**self.values, param.id: value}))

    def without(self, *params: Param[Any]) -> GenerationInput:
        """A copy that is silent about these parameters."""
        dropped = {param.id for param in params}
        return replace(self, values=MappingProxyType({k: v for k, v in self.values.items() if k not in dropped}))

    def noting(self, key: str, value: Json) -> GenerationInput:
        """A copy with one more entry of extra metadata."""
        return replace(self, extra=MappingProxyType({**self.extra, key: value}))

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

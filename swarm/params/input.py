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
_NO_SECTIONS: Mapping[int, Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True)
class GenerationInput:
    """Parameter values by id, in the order they were given. Read with `input.get(PARAM)`; the type follows the param.

    `sections`: values that hold only in one part of the prompt, by its section id (swarm.prompt.sections), for
    parameters that `can_sectionalize`. Read them with `input.get(STEPS, section=1)`: the section's value, else the
    request's, else the default. A walk that belongs to a section reads through `input.within(1)`.

    `values` hold plain values only: str, int, float, bool, tuple[str, ...], Picture, tuple[Picture, ...]
    (models are their full names, extension included). `extra`: extra metadata to record with the picture
    (from `extra_metadata`, `presets_used` …).
    """

    values: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    extra: Mapping[str, Json] = field(default_factory=lambda: _EMPTY)
    sections: Mapping[int, Mapping[str, Any]] = field(default_factory=lambda: _NO_SECTIONS)

    def get(self, param: Param[T], *, section: int = 0) -> T:
        """The value asked for, or the parameter's default."""
        value: T = self.sections.get(section, _EMPTY).get(param.id, self.values.get(param.id, param.default))
        return value

    def given(self, param: Param[T], *, section: int = 0) -> T | None:
        """The value asked for, or None when the request is silent about it."""
        value: T | None = self.sections.get(section, _EMPTY).get(param.id, self.values.get(param.id))
        return value

    def given_within(self, param: Param[T], section: int) -> T | None:
        """The value asked for in this very section, or None: for stages that have parameters of their own, which
        stand between the section's word and the request's (`refinersteps`)."""
        return self.sections.get(section, _EMPTY).get(param.id)

    def has(self, param: Param[Any]) -> bool:
        return param.id in self.values

    def having(self, param: Param[T], value: T, *, section: int = 0) -> GenerationInput:
        """A copy that says `value`, in one section only if one is given; keeps the position of a value that was
        already there."""
        if section:
            own = MappingProxyType({**self.sections.get(section, _EMPTY), param.id: value})
            return replace(self, sections=MappingProxyType({**self.sections, section: own}))
        return replace(self, values=MappingProxyType({**self.values, param.id: value}))

    def without(self, *params: Param[Any], section: int = 0) -> GenerationInput:
        """A copy that is silent about these parameters."""
        dropped = {param.id for param in params}
        if section:
            own = {id: value for id, value in self.sections.get(section, _EMPTY).items() if id not in dropped}
            others = {other: values for other, values in self.sections.items() if other != section}
            kept = {**others, section: MappingProxyType(own)} if own else others
            return replace(self, sections=MappingProxyType(kept))
        return replace(self, values=MappingProxyType({k: v for k, v in self.values.items() if k not in dropped}))

    def within(self, section: int) -> GenerationInput:
        """A copy in which the section's values are the request's own."""
        own = self.sections.get(section)
        return replace(self, values=MappingProxyType({**self.values, **own})) if own else self

    def noting(self, key: str, value: Json) -> GenerationInput:
        """A copy with one more entry of extra metadata."""
        return replace(self, extra=MappingProxyType({**self.extra, key: value}))

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

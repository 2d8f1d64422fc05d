"""What a parameter is: a declared value that knows its name, rules, default and how it is shown.

Kinds (text, integer, model …) live in kinds.py and media_kinds.py; a parameter is one instance of a kind, declared in
`features/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from swarm.access.permission import Permission
from swarm.base.ids import clean_id
from swarm.base.json import Json
from swarm.params.choices import Choices

T = TypeVar("T")

Option: TypeAlias = tuple[str, str]
"""A value a parameter may take, and its display name."""


@dataclass(frozen=True, kw_only=True)
class ParamGroup:
    """A heading under which parameters are shown; `toggles` makes the whole group switchable (swarm-t2i 2.3)."""

    name: str
    description: str = ""
    toggles: bool = False
    open: bool = True
    priority: float = 10.0
    advanced: bool = False
    can_shrink: bool = True
    parent: ParamGroup | None = None

    @property
    def id(self) -> str:
        return clean_id(self.name)


class Bounds(NamedTuple):
    """The numbers of the wire object: 0 and 0 mean unlimited, or not a number at all."""

    min: float = 0.0
    max: float = 0.0
    view_min: float = 0.0
    view_max: float = 0.0
    step: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Param(Generic[T]):
    """One thing a request can say. `default` is what `GenerationInput.get` answers when the request is silent.

    `flags`: feature flags a backend must have before it may be given a request that sets this parameter.
    `ignore_if`: a request text exactly equal to this removes the parameter instead of storing it.
    `subtype`: name of the model set that the parameter chooses from.
    """

    name: str
    description: str
    default: T
    group: ParamGroup | None = None
    priority: float = 10.0
    permission: Permission | None = None
    flags: tuple[str, ...] = ()
    ignore_if: str | None = None
    visible: bool = True
    advanced: bool = False
    toggleable: bool = False
    view_type: str = "small"
    examples: Sequence[str] | None = None
    always_retain: bool = False
    do_not_save: bool = False
    do_not_preview: bool = False
    extra_hidden: bool = False
    can_sectionalize: bool = False
    nonreusable: bool = False
    depends_on: str | None = None
    hide_from_metadata: bool = False
    intentional_unused: bool = False
    subtype: str | None = None
    aliases: tuple[str, ...] = field(default=())

    @property
    def id(self) -> str:
        return clean_id(self.name)

    @property
    def type_name(self) -> str:
        """The wire's word for the kind: `text`, `integer`, `model` … (swarm-t2i 2.3)."""
        raise NotImplementedError

    @property
    def bounds(self) -> Bounds:
        """Range, comfortable range and step, for kinds made of numbers."""
        return Bounds()

    def options(self, choices: Choices) -> Sequence[Option] | None:
        """The values to choose from now, or None when the parameter has no list."""
        return None

    def parse(self, text: str, choices: Choices) -> T | None:
        """The value a request text means, or None for "as if not sent". Raises BadInput with the inner sentence."""
        raise NotImplementedError

    def to_text(self, value: T) -> str:
        """The value in the wire's text form (swarm-t2i 3.1)."""
        raise NotImplementedError

    def default_text(self) -> str | None:
        """The default in the wire's text form; None for kinds that have no text form."""
        return self.to_text(self.default)

    def to_json(self, value: T) -> Json | Omitted:
        """The value as metadata records it (swarm-t2i 6.4), or OMITTED."""
        raise NotImplementedError


class Omitted:
    """The type of OMITTED: this value is not written to metadata."""


OMITTED = Omitted()

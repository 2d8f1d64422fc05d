"""All parameters of a running server, and how request keys find them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from swarm.base.ids import clean_id
from swarm.base.registry import DuplicateId, Registry
from swarm.params.param import Param, ParamGroup

AnyParam: TypeAlias = Param[Any]


@dataclass(frozen=True)
class ParamRegistry:
    """The collected parameters, in the order they are listed on the wire, and their other names."""

    params: Registry[AnyParam]
    aliases: dict[str, str]

    @classmethod
    def of(cls, collected: Registry[AnyParam]) -> ParamRegistry:
        """Raises DuplicateId when another name of a parameter is taken."""
        ordered = sorted(collected.values(), key=_order)
        aliases: dict[str, str] = {}
        for param in ordered:
            for alias in map(clean_id, param.aliases):
                if alias in collected or aliases.setdefault(alias, param.id) != param.id:
                    raise DuplicateId(f"'{alias}', another name of '{param.id}', is taken.")
        return cls(Registry((collected.origin(param.id), param) for param in ordered), aliases)

    def find(self, key: str) -> AnyParam | None:
        """The parameter that a request key addresses, in any spelling: `cfgScale`, `CFG Scale`, `cfg_scale` (2.4)."""
        id = clean_id(key)
        return self.params.get(id) or self.params.get(self.aliases.get(id, ""))

    def groups(self) -> list[ParamGroup]:
        """Every group in use, ancestors included, by priority."""
        return groups_of(self.params.values())


def groups_of(params: Iterable[AnyParam]) -> list[ParamGroup]:
    """The groups of `params` and their ancestors, by priority; each once."""
    found: dict[str, ParamGroup] = {}
    for param in params:
        for group in _lineage(param.group):
            found.setdefault(group.id, group)
    return sorted(found.values(), key=lambda group: group.priority)


def _lineage(group: ParamGroup | None) -> list[ParamGroup]:
    """The outermost ancestor first, `group` itself last."""
    return [] if group is None else [*_lineage(group.parent), group]


def _order(param: AnyParam) -> tuple[float, float]:
    """Where the parameter stands on the page: by its outermost group if it has one, then by its own priority."""
    lineage = _lineage(param.group)
    return (lineage[0].priority if lineage else param.priority), param.priority

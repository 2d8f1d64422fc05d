"""Parameters and groups as ListT2IParams spells them: every key, in the wire's order (swarm-t2i 2.3)."""

from __future__ import annotations

from collections.abc import Callable

from swarm.access.permission import Permission
from swarm.base.json import Json
from swarm.params.choices import Choices
from swarm.params.param import ParamGroup
from swarm.params.registry import AnyParam, ParamRegistry, groups_of


def list_params(
    params: ParamRegistry, choices: Choices, permits: Callable[[Permission], bool]
) -> tuple[list[Json], list[Json]]:
    """The `list` and `groups` of ListT2IParams: what this user may set, and the groups those stand in."""
    allowed = [param for param in params.params.values() if param.permission is None or permits(param.permission)]
    return [param_to_wire(param, choices) for param in allowed], [group_to_wire(each) for each in groups_of(allowed)]


def param_to_wire(param: AnyParam, choices: Choices) -> dict[str, Json]:
    """The param object; defaults are text, numbers are floats."""
    options = param.options(choices)
    bounds = param.bounds
    return {
        "name": param.name,
        "id": param.id,
        "description": param.description,
        "type": param.type_name,
        "subtype": param.subtype,
        "default": param.default_text(),
        "min": float(bounds.min),
        "max": float(bounds.max),
        "view_min": float(bounds.view_min),
        "view_max": float(bounds.view_max),
        "step": float(bounds.step),
        "values": None if options is None else [value for value, _ in options],
        "value_names": None if options is None else [name for _, name in options],
        "examples": None if param.examples is None else list(param.examples),
        "visible": param.visible,
        "advanced": param.advanced,
        "feature_flag": ",".join(param.flags) or None,
        "toggleable": param.toggleable,
        "priority": float(param.priority),
        "group": None if param.group is None else param.group.id,
        "always_retain": param.always_retain,
        "do_not_save": param.do_not_save,
        "do_not_preview": param.do_not_preview,
        "view_type": param.view_type,
        "extra_hidden": param.extra_hidden,
        "can_sectionalize": param.can_sectionalize,
        "nonreusable": param.nonreusable,
        "depend_non_default": param.depends_on,
    }


def group_to_wire(group: ParamGroup) -> dict[str, Json]:
    """The group object."""
    return {
        "name": group.name,
        "id": group.id,
        "toggles": group.toggles,
        "open": group.open,
        "priority": float(group.priority),
        "description": group.description,
        "advanced": group.advanced,
        "can_shrink": group.can_shrink,
        "parent": None if group.parent is None else group.parent.id,
    }

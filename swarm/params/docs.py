"""The parameter reference, written from the declarations themselves."""

from __future__ import annotations

from collections.abc import Sequence

from swarm.params.kinds import Dropdown
from swarm.params.numbers import number_text
from swarm.params.param import ParamGroup
from swarm.params.registry import AnyParam, ParamRegistry

_HEAD = """# Parameters

<!-- Generated from the declarations in swarm/features; do not edit. -->

Every parameter of `GenerateText2Image` and `GenerateText2ImageWS`. They stand on the root level of the request. A key
may be written in any way that leaves the same letters: `cfgscale`, `cfgScale`, `cfg_scale` and `CFG Scale` are one
parameter. Values may be JSON values or their text. Unknown keys are ignored.
"""


def params_page(params: ParamRegistry) -> str:
    """A Markdown page: one table per group, in the order of the page."""
    sections = [_section(None, _of_group(params, None))]
    sections += [_section(group, members) for group in params.groups() if (members := _of_group(params, group))]
    return "\n".join([_HEAD, *sections])


def _of_group(params: ParamRegistry, group: ParamGroup | None) -> list[AnyParam]:
    return [param for param in params.params.values() if param.group == group]


def _section(group: ParamGroup | None, members: Sequence[AnyParam]) -> str:
    title = group.name if group else "Always there"
    about = f"\n{group.description}\n" if group and group.description else ""
    rows = "\n".join(map(_row, sorted(members, key=lambda param: param.priority)))
    return f"## {title}\n{about}\n| key | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n{rows}\n"


def _row(param: AnyParam) -> str:
    default = param.default_text()
    cells = (
        f"`{param.id}`",
        param.type_name,
        f"`{default}`" if default else "",
        _range(param),
        param.description + _needs(param),
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _range(param: AnyParam) -> str:
    if isinstance(param, Dropdown):
        return "see `ListT2IParams`"
    if param.bounds.min or param.bounds.max:
        return f"{number_text(param.bounds.min)} to {number_text(param.bounds.max)}"
    return f"models of `{param.subtype}`" if param.subtype else ""


def _needs(param: AnyParam) -> str:
    permission = f" Needs the permission `{param.permission.id}`." if param.permission else ""
    flags = ", ".join(f"`{flag}`" for flag in param.flags)
    return permission + (f" Needs a backend with {flags}." if flags else "")

"""Roles as text: the file Roles.fds, in SwarmUI's own format (swarm-core 4.4). Pure.

    user:
        MaxOutPathDepth: 5
        PermissionFlags:
        - user_tab

Beside the roles it lists, under `___$tracked`, the permissions that were handed out by level once: a role from which an
administrator took one does not get it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from swarm.access.role import NEW_RIGHTS, Rights, Role
from swarm.base import fds

_TRACKED = "___$tracked"
_INTERNAL = "___$"


@dataclass(frozen=True, kw_only=True)
class RolesFile:
    """What a roles file holds."""

    roles: Mapping[str, Role]
    tracked: frozenset[str]


def read_roles(text: str) -> RolesFile:
    """The roles of a file; what a role does not say, or says wrongly, is as for a new one. Raises BadInput."""
    tree = fds.parse(text)
    roles = {
        id: _role(id, node) for id, node in tree.items() if isinstance(node, dict) and not id.startswith(_INTERNAL)
    }
    return RolesFile(roles=roles, tracked=_texts(tree.get(_TRACKED)))


def write_roles(content: RolesFile) -> str:
    """The text of a roles file."""
    tree: dict[str, fds.Value] = {role.id: _tree(role) for role in content.roles.values()}
    return fds.write({**tree, _TRACKED: sorted(content.tracked)})


def _role(id: str, node: Mapping[str, fds.Node]) -> Role:
    found = {key.lower(): value for key, value in node.items()}
    rights = Rights(
        permissions=_texts(found.get("permissionflags")),
        max_simultaneous=_number(found.get("maxt2isimultaneous"), NEW_RIGHTS.max_simultaneous),
        max_outpath_depth=_number(found.get("maxoutpathdepth"), NEW_RIGHTS.max_outpath_depth),
        allow_unsafe_outpaths=_text(found.get("allowunsafeoutpaths")).lower() == "true",
        model_whitelist=frozenset(name.lower() for name in _texts(found.get("modelwhitelist"))),
        model_blacklist=frozenset(name.lower() for name in _texts(found.get("modelblacklist"))),
    )
    role = Role(id=id, name=_text(found.get("name")) or id, rights=rights)
    return replace(role, description=_text(found.get("description")))


def _tree(role: Role) -> dict[str, fds.Value]:
    rights = role.rights
    return {
        "MaxOutPathDepth": rights.max_outpath_depth,
        "ModelWhitelist": sorted(rights.model_whitelist),
        "ModelBlacklist": sorted(rights.model_blacklist),
        "PermissionFlags": sorted(rights.permissions),
        "MaxT2ISimultaneous": rights.max_simultaneous,
        "AllowUnsafeOutpaths": rights.allow_unsafe_outpaths,
        "Name": role.name,
        "Description": role.description,
    }


def _text(node: fds.Node | None) -> str:
    return node if isinstance(node, str) else ""


def _texts(node: fds.Node | None) -> frozenset[str]:
    return frozenset(each for each in node if isinstance(each, str)) if isinstance(node, list) else frozenset()


def _number(node: fds.Node | None, otherwise: int) -> int:
    try:
        return int(_text(node))
    except ValueError:
        return otherwise

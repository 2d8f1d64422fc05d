"""Roles and permissions, for administrators (swarm-core 6.9)."""

from __future__ import annotations

import logging

from swarm.access.permission import Permission, PermissionGroup
from swarm.access.permissions import CONFIGURE_ROLES
from swarm.access.role import Rights, Role
from swarm.accounts.names import clean_name
from swarm.accounts.session import Session
from swarm.api.ending import interrupt_ended
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS, Map, Null, Shape
from swarm.base.errors import BadInput, NotPermitted
from swarm.base.json import Json, JsonObject
from swarm.base.tasks import to_thread
from swarm.state import AppState

_LONGEST_DESCRIPTION = 2000
_MOST = 100_000
ROLE: Shape = {
    "name": str,
    "description": str,
    "max_outpath_depth": int,
    "is_auto_generated": bool,
    "model_whitelist": [str],
    "model_blacklist": [str],
    "permissions": [str],
    "max_t2i_simultaneous": int,
    "allow_unsafe_outpaths": bool,
}
PERMISSION: Shape = {
    "name": str,
    "description": str,
    "default": str,
    "group": {"name": str, "description": str},
    "safety_level": str,
    "alt_safety_text": Null(str),
}

_log = logging.getLogger(__name__)


@route("AdminListRoles", permission=CONFIGURE_ROLES, answers={"roles": Map(ROLE)})
async def admin_list_roles(call: Call) -> JsonObject:
    """All roles by id."""
    return {"roles": {id: _role_object(role) for id, role in call.state.accounts.roles.items()}}


@route("AdminAddRole", permission=CONFIGURE_ROLES, touches=True, answers=SUCCESS)
async def admin_add_role(call: Call, name: str) -> JsonObject:
    """Make a role that may do nothing yet. Its id is the name in lower case, with letters, digits and _ only."""
    role = await to_thread(call.state.accounts.roles.add, name)
    _log.info("'%s' made the role '%s'.", call.caller.user.id, role.id)
    return {"success": True}


@route("AdminEditRole", permission=CONFIGURE_ROLES, touches=True, answers=SUCCESS)
async def admin_edit_role(
    call: Call,
    name: str,
    description: str,
    max_outpath_depth: int,
    max_t2i_simultaneous: int,
    allow_unsafe_outpaths: bool,
    model_whitelist: str,
    model_blacklist: str,
    permissions: str,
) -> JsonObject:
    """Say what a role may do, in place of all it could before. The three lists are texts with commas.

    It takes effect at once; sessions of users who may do less than before end, but for the caller's own.
    """
    if not 0 <= max_outpath_depth <= _MOST or not 0 <= max_t2i_simultaneous <= _MOST:
        raise BadInput(f"The limits of a role are from 0 to {_MOST}.")
    if len(description) > _LONGEST_DESCRIPTION:
        raise BadInput(f"The description of a role has at most {_LONGEST_DESCRIPTION} letters.")
    rights = Rights(
        permissions=frozenset(_parts(permissions)),
        max_simultaneous=max_t2i_simultaneous,
        max_outpath_depth=max_outpath_depth,
        allow_unsafe_outpaths=allow_unsafe_outpaths,
        model_whitelist=frozenset(_parts(model_whitelist.lower())),
        model_blacklist=frozenset(_parts(model_blacklist.lower())),
    )
    _refuse_giving(call, name, rights)
    before = _rights(call.state)
    await to_thread(call.state.accounts.roles.edit, name, description=description, rights=rights)
    interrupt_ended(call.state, await to_thread(_end_reduced, call.state, before, call.caller))
    _log.info("'%s' edited the role %.100r.", call.caller.user.id, name)
    return {"success": True}


@route("AdminDeleteRole", permission=CONFIGURE_ROLES, touches=True, answers=SUCCESS)
async def admin_delete_role(call: Call, name: str) -> JsonObject:
    """Delete a role. Users keep its id among theirs, where it means nothing any more."""
    before = _rights(call.state)
    await to_thread(call.state.accounts.roles.delete, name)
    interrupt_ended(call.state, await to_thread(_end_reduced, call.state, before, call.caller))
    _log.info("'%s' deleted the role %.100r.", call.caller.user.id, name)
    return {"success": True}


@route(
    "AdminListPermissions",
    permission=CONFIGURE_ROLES,
    answers={"permissions": Map(PERMISSION), "ordered": [str]},
)
async def admin_list_permissions(call: Call) -> JsonObject:
    """Every permission by id, and the ids in order, those of one group together."""
    known = call.state.permissions
    groups: dict[str, list[Permission]] = {}
    for permission in known.values():
        groups.setdefault(permission.group.id, []).append(permission)
    ordered: list[Json] = [permission.id for group in groups.values() for permission in group]
    return {"permissions": {id: _permission_object(each) for id, each in known.items()}, "ordered": ordered}


def _rights(state: AppState) -> dict[str, Rights]:
    return {user.id: user.rights for user in state.users.everyone()}


def _end_reduced(state: AppState, before: dict[str, Rights], caller: Session) -> list[Session]:
    """End the sessions of users who may do less than `before`. Blocking."""
    reduced = [
        user.id for user in state.users.everyone() if user.id in before and not user.rights.covers(before[user.id])
    ]
    return [session for id in reduced for session in state.sessions.end_user(id, but=caller)]


def _refuse_giving(call: Call, name: str, rights: Rights) -> None:
    """Nobody gives a role what they do not have themselves, unless it has it already. Raises NotPermitted."""
    role = call.state.accounts.roles.get(clean_name(name))
    had = role.rights.permissions if role is not None else frozenset[str]()
    if not call.caller.user.rights.covers(Rights(permissions=rights.permissions - had)):
        raise NotPermitted("You cannot give a role what you may not do yourself.", error_id="bad_permissions")


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _role_object(role: Role) -> JsonObject:
    rights = role.rights
    return {
        "name": role.name,
        "description": role.description,
        "max_outpath_depth": rights.max_outpath_depth,
        "is_auto_generated": role.built_in,
        "model_whitelist": sorted(rights.model_whitelist),
        "model_blacklist": sorted(rights.model_blacklist),
        "permissions": sorted(rights.permissions),
        "max_t2i_simultaneous": rights.max_simultaneous,
        "allow_unsafe_outpaths": rights.allow_unsafe_outpaths,
    }


def _permission_object(permission: Permission) -> JsonObject:
    return {
        "name": permission.name,
        "description": permission.description,
        "default": permission.level.value,
        "group": _group_object(permission.group),
        "safety_level": permission.safety.value,
        "alt_safety_text": None,
    }


def _group_object(group: PermissionGroup) -> JsonObject:
    return {"name": group.name, "description": group.description}

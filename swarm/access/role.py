"""Roles, what they grant when they are new, and what several of them grant together (swarm-core 3.1)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from swarm.access.permission import Level, Permission

WILDCARD = "*"
_RANKS = (Level.GUEST, Level.USER, Level.POWERUSERS, Level.ADMINS, Level.NOBODY)
_BUILT_IN = (
    ("owner", "Owner", Level.NOBODY),
    ("admin", "Admin", Level.ADMINS),
    ("poweruser", "PowerUser", Level.POWERUSERS),
    ("user", "User", Level.USER),
    ("guest", "Guest", Level.GUEST),
)


@dataclass(frozen=True, kw_only=True)
class Rights:
    """What a caller may do. The default is a caller without any valid role: nothing at all.

    `permissions`: permission ids, `*` for every one. `max_simultaneous`: pictures at once. Model lists hold lower-case
    name prefixes (`sdxl/`); an empty `model_whitelist` allows every model.
    """

    permissions: frozenset[str] = frozenset()
    max_simultaneous: int = 0
    max_outpath_depth: int = 0
    allow_unsafe_outpaths: bool = False
    model_whitelist: frozenset[str] = frozenset()
    model_blacklist: frozenset[str] = frozenset()

    def permits(self, permission: Permission) -> bool:
        return permission.id in self.permissions or WILDCARD in self.permissions

    def covers(self, other: Rights) -> bool:
        """Whether these rights allow everything that `other` does. Limits in numbers are no matter of rights."""
        if WILDCARD in self.permissions:
            return True
        has_models = self.model_blacklist <= other.model_blacklist and (
            not self.model_whitelist or (bool(other.model_whitelist) and other.model_whitelist <= self.model_whitelist)
        )
        has_permissions = other.permissions <= self.permissions
        return has_permissions and has_models and self.allow_unsafe_outpaths >= other.allow_unsafe_outpaths

    def permits_model(self, name: str) -> bool:
        """Whether a model may be seen and used. The blacklist beats the whitelist; `(None)` is always allowed."""
        key = name.lower()
        if key == "(none)":
            return True
        if any(key.startswith(prefix) for prefix in self.model_blacklist):
            return False
        return not self.model_whitelist or any(key.startswith(prefix) for prefix in self.model_whitelist)


NEW_RIGHTS = Rights(max_simultaneous=32, max_outpath_depth=5)
"""What a role has when it is made."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """A named set of rights that an administrator can edit; `built_in` ones cannot be deleted."""

    id: str
    name: str
    description: str = ""
    rights: Rights
    built_in: bool = False


def default_roles(permissions: Collection[Permission]) -> dict[str, Role]:
    """The five built-in roles by id, with the permissions whose default level they reach; the owner also has `*`."""
    bare = {id: Role(id=id, name=name, rights=NEW_RIGHTS, built_in=True) for id, name, _ in _BUILT_IN}
    return granted(bare, permissions)


def granted(roles: Mapping[str, Role], permissions: Iterable[Permission]) -> dict[str, Role]:
    """The roles, the built-in ones having been given these (new) permissions by level, and the owner `*`."""
    new = tuple(permissions)
    changed = dict(roles)
    for role_id, _, level in _BUILT_IN:
        reached = _RANKS[: _RANKS.index(level) + 1]
        more = {permission.id for permission in new if permission.level in reached}
        if role_id == "owner":
            more.add(WILDCARD)
        role = changed[role_id]
        rights = replace(role.rights, permissions=role.rights.permissions | more)
        changed[role_id] = replace(role, rights=rights, built_in=True)
    return changed


def stacked(roles: Iterable[Role]) -> Rights:
    """The rights of someone who has all these roles: the larger of each number, the union of each set."""
    rights = [role.rights for role in roles]
    return Rights(
        permissions=frozenset[str]().union(*(each.permissions for each in rights)),
        max_simultaneous=max((each.max_simultaneous for each in rights), default=0),
        max_outpath_depth=max((each.max_outpath_depth for each in rights), default=0),
        allow_unsafe_outpaths=any(each.allow_unsafe_outpaths for each in rights),
        model_whitelist=frozenset[str]().union(*(each.model_whitelist for each in rights)),
        model_blacklist=frozenset[str]().union(*(each.model_blacklist for each in rights)),
    )

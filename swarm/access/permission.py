"""What a permission is. The built-in ones are declared in permissions.py."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(Enum):
    """The lowest role that is granted a permission when it first appears (swarm-core 3.1)."""

    NOBODY = "NOBODY"
    ADMINS = "ADMINS"
    POWERUSERS = "POWERUSERS"
    USER = "USER"
    GUEST = "GUEST"


class Safety(Enum):
    """How much harm a permission can do in the wrong hands."""

    UNTESTED = "UNTESTED"
    SAFE = "SAFE"
    RISKY = "RISKY"
    POWERFUL = "POWERFUL"


@dataclass(frozen=True, kw_only=True)
class PermissionGroup:
    """A heading under which permissions are shown."""

    id: str
    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Permission:
    """Something a role may be allowed to do. Routes and parameters refer to the value itself."""

    id: str
    name: str
    group: PermissionGroup
    level: Level
    safety: Safety
    description: str

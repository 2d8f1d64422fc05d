"""The few services that dispatching needs, real ones, without the rest of a server."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import swarm.access
from swarm.access.permission import Permission
from swarm.access.role import default_roles
from swarm.accounts.door import Door
from swarm.accounts.session import SessionStore
from swarm.accounts.tokens import TokenStore
from swarm.accounts.user import UserStore
from swarm.base.database import Database
from swarm.base.registry import collect
from swarm.settings.server import NetworkSettings, ServerSettings
from swarm.settings.user import UserSettings


def tiny_state(
    *,
    roles: tuple[str, ...] = ("owner",),
    network: NetworkSettings | None = None,
    database: Database | None = None,
) -> Any:
    """A stand-in for AppState with users, sessions and settings."""
    settings = ServerSettings(network=network or NetworkSettings(), default_user=UserSettings(roles=roles))
    permissions = collect(swarm.access, Permission)
    users = UserStore(
        roles=default_roles(permissions.values()), defaults=settings.default_user, local_id="local", clock=time.time
    )
    return SimpleNamespace(
        settings=settings,
        permissions=permissions,
        users=users,
        accounts=SimpleNamespace(door=Door(users, cast(TokenStore, None), lambda: settings.user_authorization)),
        sessions=SessionStore(database, users, time.time),
        clock=time.time,
        version="1.2.3",
        upkeep=SimpleNamespace(notices=()),
        pool=SimpleNamespace(instances=lambda: ()),
        server_id="5a3e0a5e-0000-4000-8000-000000000000",
    )

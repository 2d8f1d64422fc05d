"""The stores about people, opened together."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from swarm.access.permission import Permission
from swarm.accounts.accounts import Accounts, account_role
from swarm.accounts.presets import PresetStore
from swarm.accounts.roles import RoleStore
from swarm.accounts.session import SessionStore
from swarm.accounts.tokens import TokenStore
from swarm.accounts.user import UserStore
from swarm.accounts.userdata import UserData
from swarm.base.database import Database
from swarm.settings.server import ServerSettings


def open_accounts(
    database: Database,
    *,
    roles_file: Path,
    permissions: Collection[Permission],
    settings: Callable[[], ServerSettings],
    local_id: str,
    clock: Callable[[], float],
    keeps_sessions: bool = True,
) -> Accounts:
    """Blocking: reads roles and what users have set, and migrates tables."""
    now = settings()
    data = UserData(database, clock)
    roles = RoleStore(roles_file, permissions)
    users = UserStore(
        roles=roles,
        defaults=now.default_user,
        local_id=local_id,
        clock=clock,
        data=data,
        account_role=account_role(now),
    )
    tokens = TokenStore(database, clock)
    needs_token = now.user_authorization.authorization_required
    kept = database if keeps_sessions else None
    sessions = SessionStore(kept, users, clock, tokens, needs_token=needs_token)
    presets = PresetStore(database)
    return Accounts.of(users, roles, sessions, tokens, presets, data, clock=clock, settings=settings)

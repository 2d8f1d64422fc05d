"""Accounts: people with a name, a password and roles, and what comes and goes with one (swarm-core 3, 6.8)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from anyio import CapacityLimiter

from swarm.accounts.door import Door
from swarm.accounts.limits import LoginLimits
from swarm.accounts.names import RESERVED, clean_name
from swarm.accounts.passwords import HASHERS, Passwords, refuse_weak
from swarm.accounts.presets import PresetStore
from swarm.accounts.roles import RoleStore
from swarm.accounts.session import Session, SessionStore
from swarm.accounts.tokens import TokenStore
from swarm.accounts.user import User, UserStore
from swarm.accounts.userdata import UserData
from swarm.base.errors import BadInput, Refused
from swarm.base.json import Json
from swarm.settings.server import ServerSettings

MOST_WAITING = 200
"""How many may wait for their password to be hashed, two seconds or so; more is a flood."""

_KEY = "account"
_BY_ADMIN, _EMAIL = "password_by_admin", "email"


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """The services that know people, and what concerns several of them. Methods block on the disk, unless async."""

    users: UserStore
    roles: RoleStore
    sessions: SessionStore
    tokens: TokenStore
    passwords: Passwords
    presets: PresetStore
    data: UserData
    door: Door
    limits: LoginLimits
    hashers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(HASHERS))

    @staticmethod
    def of(
        users: UserStore,
        roles: RoleStore,
        sessions: SessionStore,
        tokens: TokenStore,
        presets: PresetStore,
        data: UserData,
        *,
        clock: Callable[[], float],
        settings: Callable[[], ServerSettings],
    ) -> Accounts:
        """Everything about accounts on these stores."""
        roles.on_change(lambda _: users.roles_changed())
        return Accounts(
            users=users,
            roles=roles,
            sessions=sessions,
            tokens=tokens,
            passwords=Passwords(data, clock),
            presets=presets,
            data=data,
            door=Door(users, tokens, lambda: settings().user_authorization),
            limits=LoginLimits(clock),
        )

    @property
    def is_flooded(self) -> bool:
        """Whether so many try to log in that another one would wait too long. Only on the event loop."""
        return self.hashers.statistics().tasks_waiting >= MOST_WAITING

    def follow(self, now: ServerSettings) -> None:
        """Take over changed settings. Sessions that nobody proved end when logins become necessary."""
        about = now.user_authorization
        self.users.change_defaults(now.default_user, account_role(now))
        needs_token = about.authorization_required
        if needs_token and (not self.sessions.needs_token or not about.allow_localhost_bypass):
            self.sessions.end_unproven()
        self.sessions.needs_token = needs_token

    # --- accounts -----------------------------------------------------------------------------------------------

    def add(self, user_id: str, password: str | None, role: str, *, by_admin: bool, email: str = "") -> User:
        """A new account. Raises Refused when the name is taken, BadInput for a weak password."""
        if password is not None:
            refuse_weak(password)
        if self.users.known(user_id) is not None:
            raise Refused("A user by that name already exists, or registration failed.")
        self.data.set(user_id, _KEY, {_BY_ADMIN: by_admin, _EMAIL: email})
        user = self.users.get_or_create(user_id)
        self.users.change_settings(user, {"roles": [role]}, with_roles=True)
        if password is not None:
            self.passwords.set(user_id, password)
        return user

    def may_register(self, user_id: str) -> bool:
        """Whether a visitor may take the name."""
        is_name = user_id == clean_name(user_id) and user_id[:1].isalpha() and user_id not in RESERVED
        return is_name and self.users.known(user_id) is None

    def delete(self, user_id: str) -> list[Session]:
        """Forget an account and everything it left but its pictures; returns the sessions that ended."""
        self.data.remove_user(user_id)
        self.tokens.revoke_all(user_id)
        ended = self.sessions.end_user(user_id)
        self.presets.remove_user(user_id)
        self.users.forget(user_id)
        return ended

    def set_password(self, user_id: str, password: str) -> list[Session]:
        """Have an administrator set a password, or take it away; every login of the user ends."""
        if password:
            self.passwords.set(user_id, password)
        else:
            self.passwords.remove(user_id)
        self._record(user_id, **{_BY_ADMIN: True})
        self.tokens.revoke_all(user_id)
        return self.sessions.end_user(user_id)

    def change_password(self, session: Session, old: str, new: str) -> list[Session]:
        """Have someone change their own password; their other logins and sessions end."""
        user_id = session.user.id
        self.passwords.change(user_id, old, new)
        self._record(user_id, **{_BY_ADMIN: False})
        self.tokens.revoke_all(user_id, but=session.token_id)
        return self.sessions.end_user(user_id, but=session)

    def change_settings(self, user: User, changes: Mapping[str, Json]) -> list[Session]:
        """Have an administrator change a user's settings; sessions end when the user may do less than before."""
        before = user.rights
        self.users.change_settings(user, changes, with_roles=True)
        return [] if user.rights.covers(before) else self.sessions.end_user(user.id)

    def password_by_admin(self, user_id: str) -> bool:
        return self._recorded(user_id).get(_BY_ADMIN) is True

    def email(self, user_id: str) -> str:
        found = self._recorded(user_id).get(_EMAIL)
        return found if isinstance(found, str) else ""

    def set_email(self, user_id: str, email: str) -> None:
        """Link a mail address to the account, blank for none. Raises Refused when another account has it."""
        if email and any(
            isinstance(record, Mapping) and record.get(_EMAIL) == email and other != user_id
            for other, record in self.data.everyones(_KEY).items()
        ):
            raise Refused("That address belongs to another account.")
        self._record(user_id, **{_EMAIL: email})

    def secure_owner(self, password: str) -> None:
        """Give the local user this password and the roles it has now, before the server is opened to others."""
        owner = self.users.caller(None)
        if len(password) > 500:
            raise BadInput("Password too long.")
        self.passwords.set(owner.id, password)
        self.users.keep_roles(owner)

    def _recorded(self, user_id: str) -> Mapping[str, Json]:
        found = self.data.get(user_id, _KEY)
        return found if isinstance(found, Mapping) else {}

    def _record(self, user_id: str, **changes: Json) -> None:
        self.data.set(user_id, _KEY, {**self._recorded(user_id), **changes})


def account_role(settings: ServerSettings) -> str | None:
    """The role of accounts that were given none; None while there are no accounts."""
    about = settings.user_authorization
    return about.registration.new_user_default_role if about.authorization_required else None

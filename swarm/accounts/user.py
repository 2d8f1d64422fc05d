"""Who calls: an id, what they may do, and what they have set.

In open mode (swarm-core 2.1) an id that nobody used yet is a new user.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from swarm.access.permission import Permission
from swarm.access.role import Rights, Role, stacked
from swarm.accounts.userdata import UserData
from swarm.base.errors import BadInput
from swarm.base.json import Json
from swarm.base.paths import clean_file_name
from swarm.settings.user import UserSettings
from swarm.settings.wire import accepted, with_settings

_FIRST_REQUEST_ID = 1001
_LONGEST_ID = 120
_SETTINGS = "settings"
INTERNAL = "__"
"""How ids begin that are nobody's."""

_ROLES = "roles"
_NOT_THEIRS = frozenset({_ROLES})
"""Settings of users that they cannot change themselves."""

_log = logging.getLogger(__name__)


class User:
    """One person or program, as long as the server runs.

    `last_present`: unix seconds of their latest call. `last_used`: of the latest that counts as use (swarm-core 2.7).
    """

    def __init__(self, id: str, *, rights: Rights, settings: UserSettings, now: float) -> None:
        self.id = id
        self.rights = rights
        self.settings = settings
        self.last_present = now
        self.last_used = now
        self._request_ids = itertools.count(_FIRST_REQUEST_ID)

    def permits(self, permission: Permission) -> bool:
        """Whether this user may do what the permission stands for."""
        return self.rights.permits(permission)

    def permits_model(self, name: str) -> bool:
        """Whether this user may see and use a model."""
        return self.rights.permits_model(name)

    def permission_ids(self) -> list[str]:
        """Ids of everything this user may do, sorted; with `*` among them, everything there is."""
        return sorted(self.rights.permissions)

    @property
    def max_simultaneous(self) -> int:
        """How many pictures this user's roles allow at once; the server may lower it to what its backends can do."""
        return max(1, self.rights.max_simultaneous)

    def next_request_id(self) -> int:
        """1001, 1002 …: a number for one request of this user (swarm-t2i 4.13)."""
        return next(self._request_ids)


def clean_user_id(text: str) -> str:
    """A user id as a strict file name in one part; `_` when nothing is left. Case matters."""
    return clean_file_name(text).replace("/", "")[:_LONGEST_ID] or "_"


class UserStore:
    """All users that were seen since the start, and those that left something here. Safe to use from several threads.

    `local_id`: the user of callers who do not say who they are. `roles`: by id, as they are now. `defaults`: settings
    of users who have not set them. `data`: where what users set is kept; None forgets it at the end. `account_role`:
    the role of users who were given none, other than the local one; None for that of `defaults`, as in open mode.
    """

    def __init__(
        self,
        *,
        roles: Mapping[str, Role],
        defaults: UserSettings,
        local_id: str,
        clock: Callable[[], float],
        data: UserData | None = None,
        account_role: str | None = None,
    ) -> None:
        self.local_id = clean_user_id(local_id)
        self._data = data
        self._changes = {} if data is None else {user_id: _sound(kept) for user_id, kept in _kept(data)}
        self._roles = roles
        self._defaults = defaults
        self._account_role = account_role
        self._clock = clock
        self._users: dict[str, User] = {}
        self._lock = threading.RLock()

    def get_or_create(self, user_id: str) -> User:
        """The user of that (cleaned) id."""
        key = clean_user_id(user_id)
        known = self._users.get(key)
        if known is not None:
            return known
        with self._lock:
            return self._users.setdefault(key, self._make(key))

    def find(self, user_id: str) -> User | None:
        """The user of that id, if anyone used it since the start."""
        return self._users.get(clean_user_id(user_id))

    def known(self, user_id: str) -> User | None:
        """The user of exactly that id, if they were here or left something. Blocks on the disk."""
        if user_id != clean_user_id(user_id) or user_id.startswith(INTERNAL):
            return None
        found = self._users.get(user_id)
        if found is None and (user_id == self.local_id or (self._data is not None and self._data.has(user_id))):
            return self.get_or_create(user_id)
        return found

    def ids(self) -> list[str]:
        """Ids of everyone who was here or left something, sorted. Blocks on the disk."""
        kept = () if self._data is None else self._data.users()
        with self._lock:
            return sorted(id for id in {*kept, *self._users, self.local_id} if not id.startswith(INTERNAL))

    def forget(self, user_id: str) -> None:
        """The user was never here. What they left is for others to delete."""
        with self._lock:
            self._users.pop(user_id, None)
            self._changes.pop(user_id, None)

    def everyone(self) -> list[User]:
        """Everyone who was seen since the start, by id."""
        with self._lock:
            return [self._users[key] for key in sorted(self._users)]

    def caller(self, user_id: str | None) -> User:
        """Who a request without a session comes from: the user it names, or the local one."""
        return self.get_or_create(user_id) if user_id is not None else self.get_or_create(self.local_id)

    def change_settings(self, user: User, changes: Mapping[str, Json], *, with_roles: bool = False) -> None:
        """Change a user's settings by path and keep the changes. Raises BadInput for a value of the wrong type.

        `with_roles`: what an administrator may change, which is the roles too.
        """
        taken = accepted(UserSettings, changes, leave_out=() if with_roles else _NOT_THEIRS)
        with self._lock:
            merged = {**self._changes.get(user.id, {}), **taken}
            if self._data is not None:
                self._data.set(user.id, _SETTINGS, merged)
            self._changes[user.id] = merged
            self._refresh(user)

    def keep_roles(self, user: User) -> None:
        """From now on the user has the roles of this moment, whatever the defaults become."""
        self.change_settings(user, {_ROLES: list(user.settings.roles)}, with_roles=True)

    def change_defaults(self, defaults: UserSettings, account_role: str | None = None) -> None:
        """From now on users have these settings and roles, but for what they have set themselves."""
        with self._lock:
            self._defaults = defaults
            self._account_role = account_role
            for user in self._users.values():
                self._refresh(user)

    def roles_changed(self) -> None:
        """Give everyone the rights that their roles have now."""
        with self._lock:
            for user in self._users.values():
                user.rights = self._rights(user.settings)

    def _refresh(self, user: User) -> None:
        user.settings = self._settings(user.id)
        user.rights = self._rights(user.settings)

    def _make(self, user_id: str) -> User:
        settings = self._settings(user_id)
        return User(user_id, rights=self._rights(settings), settings=settings, now=self._clock())

    def _settings(self, user_id: str) -> UserSettings:
        base = self._defaults
        if self._account_role is not None and user_id != self.local_id:
            base = replace(base, roles=(self._account_role,))
        return with_settings(base, self._changes.get(user_id, {}))

    def _rights(self, settings: UserSettings) -> Rights:
        return stacked([self._roles[each] for each in settings.roles if each in self._roles])


def _kept(data: UserData) -> list[tuple[str, Mapping[str, Json]]]:
    return [(user_id, kept) for user_id, kept in data.everyones(_SETTINGS).items() if isinstance(kept, Mapping)]


def _sound(kept: Mapping[str, Json]) -> dict[str, Json]:
    """Those kept changes that still fit; an older version of this program may have had other settings."""
    sound: dict[str, Json] = {}
    for path, value in kept.items():
        try:
            sound.update(accepted(UserSettings, {path: value}))
        except BadInput as error:
            _log.warning("A kept setting of a user is ignored: %s", error.sentence)
    return sound

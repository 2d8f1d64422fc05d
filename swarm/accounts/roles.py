"""The roles of this server, kept in Roles.fds (swarm-core 3.1, 6.9). A mapping by id that is always up to date."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from swarm.access.permission import Permission
from swarm.access.role import NEW_RIGHTS, Rights, Role, default_roles, granted
from swarm.access.roles_file import RolesFile, read_roles, write_roles
from swarm.accounts.names import clean_name
from swarm.base.atomic import make_folder, write_whole
from swarm.base.errors import BadInput, NotFound, Refused

_log = logging.getLogger(__name__)
_SHORTEST, _LONGEST = 3, 100
_NO_SUCH = "No role by that name exists."


class RoleStore(Mapping[str, Role]):
    """All roles. `file` None keeps changes in memory. Reading never blocks; what changes roles blocks on the disk."""

    def __init__(self, file: Path | None, permissions: Collection[Permission]) -> None:
        """Blocking. Permissions that the file does not know yet are handed out by level."""
        self._file = file
        self._lock = threading.Lock()
        self._listeners: list[Callable[[str], None]] = []
        found = _read(file) if file is not None else None
        known = found.tracked if found is not None else frozenset[str]()
        new = [each for each in permissions if each.id not in known]
        bare = {id: replace(role, rights=NEW_RIGHTS) for id, role in default_roles(()).items()}
        self._roles = granted({**bare, **(found.roles if found is not None else {})}, new)
        self._tracked = known | {each.id for each in permissions}
        if new:
            self._save(self._roles)

    def __getitem__(self, id: str) -> Role:
        return self._roles[id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._roles)

    def __len__(self) -> int:
        return len(self._roles)

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Have `listener` called with the id of a role that is not what it was, in the thread that changed it."""
        self._listeners.append(listener)

    def add(self, name: str) -> Role:
        """A new role without permissions. Raises BadInput or Refused with the wire's sentence."""
        id = clean_name(name)
        if len(id) < _SHORTEST:
            raise BadInput("Role name must be at least 3 characters long, A-Z 0-9 only.")
        if len(id) > _LONGEST:
            raise BadInput(f"A role's name has at most {_LONGEST} letters.")
        role = Role(id=id, name=name.strip(), rights=NEW_RIGHTS)
        with self._lock:
            if id in self._roles:
                raise Refused("A role by that name already exists.")
            self._replace({**self._roles, id: role})
        return role

    def edit(self, name: str, *, description: str, rights: Rights) -> None:
        """New rights for a role, at once for everyone who has it. The owner keeps `*`."""
        with self._lock:
            role = self._find(name)
            if role.id == "owner":
                rights = replace(rights, permissions=rights.permissions | {"*"})
            self._replace({**self._roles, role.id: replace(role, description=description, rights=rights)})
        self._tell(role.id)

    def delete(self, name: str) -> None:
        """Forget a role. Raises NotFound, or Refused for a built-in one."""
        with self._lock:
            role = self._find(name)
            if role.built_in:
                raise Refused("That role is an auto-generated core role and cannot be deleted.")
            self._replace({id: each for id, each in self._roles.items() if id != role.id})
        self._tell(role.id)

    def _find(self, name: str) -> Role:
        role = self._roles.get(clean_name(name)) or self._roles.get(name)
        if role is None:
            raise NotFound(_NO_SUCH)
        return role

    def _replace(self, roles: dict[str, Role]) -> None:
        self._save(roles)
        self._roles = roles

    def _save(self, roles: Mapping[str, Role]) -> None:
        if self._file is None:
            return
        text = write_roles(RolesFile(roles=roles, tracked=self._tracked))
        try:
            make_folder(self._file.parent)
            write_whole(self._file, text.encode())
        except OSError as error:
            raise Refused(f"The roles could not be saved: {error.strerror or error}.") from None

    def _tell(self, id: str) -> None:
        for listener in self._listeners:
            listener(id)


def _read(file: Path) -> RolesFile | None:
    """What the file holds; None without one. A file that cannot be read is set aside."""
    try:
        return read_roles(file.read_text("utf-8", errors="replace"))
    except FileNotFoundError:
        return None
    except BadInput as error:
        bad = file.with_name(file.name + ".bad")
        file.replace(bad)
        _log.error("%s The file is now %s, and the built-in roles are used.", error.sentence, bad.name)
        return None

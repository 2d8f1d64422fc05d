"""Passwords: the rules for new ones, and how they are kept (swarm-core 2.5; argon2id instead of PBKDF2)."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from swarm.accounts.userdata import UserData
from swarm.base.errors import BadInput, Refused

_SHORTEST, _LONGEST = 8, 500
_PREHASH = "__swarmdoprehash:"
_KEY = "password"
_WINDOW_SECONDS = 60.0
_CHANGES_PER_WINDOW = 5


class Passwords:
    """The passwords of users. Every method takes a while: it blocks on the disk and on purpose on the processor."""

    def __init__(self, data: UserData, clock: Callable[[], float]) -> None:
        self._data = data
        self._clock = clock
        self._hasher = PasswordHasher()
        self._lock = threading.Lock()
        self._windows: dict[str, tuple[float, int]] = {}

    def change(self, user_id: str, old: str, new: str) -> None:
        """Set a new password. The old one is checked if there is one. Raises BadInput or Refused with the reason."""
        if len(new) < _SHORTEST:
            raise BadInput("New password must be at least 8 characters long.")
        if len(new) > _LONGEST:
            raise BadInput("New password is too long.")
        if not self._may_try(user_id):
            raise Refused(
                "Rate-limit hit, you're trying to change password too quickly. Wait a minute before trying again."
            )
        if self.is_set(user_id) and not self.matches(user_id, old):
            raise Refused("Incorrect old password. Refused.")
        self._data.set(user_id, _KEY, self._hasher.hash(_prehashed(new)))

    def is_set(self, user_id: str) -> bool:
        return self._data.get(user_id, _KEY) is not None

    def matches(self, user_id: str, password: str) -> bool:
        """Whether this is the user's password; never when there is none."""
        kept = self._data.get(user_id, _KEY)
        if not isinstance(kept, str) or len(password) > _LONGEST:
            return False
        try:
            return self._hasher.verify(kept, _prehashed(password))
        except (VerificationError, InvalidHashError):
            return False

    def _may_try(self, user_id: str) -> bool:
        """Count an attempt; false when the user made too many within a minute."""
        now = self._clock()
        with self._lock:
            self._windows = {one: window for one, window in self._windows.items() if now - window[0] <= _WINDOW_SECONDS}
            start, count = self._windows.get(user_id, (now, 0))
            self._windows[user_id] = (start, count + 1)
        return count < _CHANGES_PER_WINDOW


def _prehashed(password: str) -> str:
    """What the page would have sent: browsers without crypto leave the first hash to the server."""
    if not password.startswith(_PREHASH):
        return password
    return hashlib.sha256(password.removeprefix(_PREHASH).encode("utf-8", "surrogatepass")).hexdigest()

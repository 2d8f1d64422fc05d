"""Passwords: the rules for new ones, and how they are kept (swarm-core 2.5; argon2id instead of PBKDF2).

Pages send `sha256("swarmclientpw:<name>:<password>")` instead of the password; scripts send it as it is. The server
brings both into the page's form before it hashes, so that a password set by one works for the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from swarm.accounts.limits import Attempts
from swarm.accounts.userdata import UserData
from swarm.base.errors import BadInput, Refused

SHORTEST, LONGEST = 8, 500
HASHERS = 2
"""How many may be hashed at once: each takes 19 MiB and a processor."""

_PREHASH = "__swarmdoprehash:"
_CLIENT_FORM = "swarmclientpw:"
_HASHED = re.compile(r"[0-9a-f]{64}")
_KEY = "password"
_CHANGES_PER_MINUTE = 5
_NOBODYS = "a password that nobody has"
_COMMON_WORDS = (
    "password password1 password12 password123 passw0rd 12345678 123456789 1234567890 87654321 11111111 00000000 "
    "123123123 qwertyui qwertyuiop qwerty123 1q2w3e4r 1qaz2wsx asdfghjk iloveyou sunshine princess football baseball "
    "superman trustno1 letmein1 welcome1 whatever computer internet changeme swarmswarm swarmui1 administrator"
)
_COMMON = frozenset(_COMMON_WORDS.split())


class Passwords:
    """The passwords of users. Every method takes a while: it blocks on the disk and on purpose on the processor."""

    def __init__(self, data: UserData, clock: Callable[[], float]) -> None:
        self._data = data
        self._hasher = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
        self._decoy = self._hasher.hash(_NOBODYS)
        self._changes = Attempts(_CHANGES_PER_MINUTE, clock)

    def change(self, user_id: str, old: str, new: str) -> None:
        """Set a new password. The old one is checked if there is one. Raises BadInput or Refused with the reason."""
        if len(new) < SHORTEST:
            raise BadInput("New password must be at least 8 characters long.")
        if len(new) > LONGEST:
            raise BadInput("New password is too long.")
        if not self._changes.count(user_id):
            raise Refused(
                "Rate-limit hit, you're trying to change password too quickly. Wait a minute before trying again."
            )
        if self.is_set(user_id) and not self.matches(user_id, old):
            raise Refused("Incorrect old password. Refused.")
        self.set(user_id, new)

    def set(self, user_id: str, new: str) -> None:
        """Set a password of a good length. Raises BadInput for one that everybody tries first."""
        refuse_weak(new)
        self._data.set(user_id, _KEY, self._hasher.hash(_client_form(user_id, new)))

    def remove(self, user_id: str) -> None:
        """From now on nobody can log in as the user with a password."""
        self._data.remove(user_id, _KEY)

    def is_set(self, user_id: str) -> bool:
        return self._data.get(user_id, _KEY) is not None

    def anyone(self) -> bool:
        """Whether any user has a password."""
        return bool(self._data.everyones(_KEY))

    def matches(self, user_id: str, password: str) -> bool:
        """Whether this is the user's password; never when there is none, which takes as long to find out."""
        kept = self._data.get(user_id, _KEY)
        known = isinstance(kept, str) and len(password) <= LONGEST
        try:
            right = self._hasher.verify(
                kept if known and isinstance(kept, str) else self._decoy, _client_form(user_id, password[:LONGEST])
            )
        except (VerificationError, InvalidHashError):
            return False
        if known and isinstance(kept, str) and self._hasher.check_needs_rehash(kept):
            self._data.set(user_id, _KEY, self._hasher.hash(_client_form(user_id, password)))
        return right and known


def refuse_weak(password: str) -> None:
    """Raises BadInput for a password that is short or among the first that are tried, as far as it can be seen."""
    if _HASHED.fullmatch(password):
        return
    plain = password
    if password.startswith(_PREHASH + _CLIENT_FORM):
        plain = password.removeprefix(_PREHASH + _CLIENT_FORM).partition(":")[2]
    if len(plain) < SHORTEST:
        raise BadInput("Password must be at least 8 characters long.")
    if plain.lower() in _COMMON:
        raise BadInput("That password is one of the first that are tried. Choose another one.")


def _client_form(user_id: str, password: str) -> str:
    """What a page sends for this password."""
    if _HASHED.fullmatch(password):
        return password
    text = password.removeprefix(_PREHASH)
    if text == password:
        text = f"{_CLIENT_FORM}{user_id}:{password}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""Who a request without a session comes from (swarm-core 2.1, 2.4).

Open mode takes callers at their word. In accounts mode a login token proves who it is; callers on this machine are its
owner, unless the settings say otherwise or anything suggests that a proxy speaks for somebody else.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from swarm.accounts.tokens import Token, TokenStore
from swarm.accounts.user import User, UserStore
from swarm.base.tasks import to_thread
from swarm.settings.authorization import AuthorizationSettings

COOKIE = "swarm_token"
_BEARER = "bearer "
_PROXY_HEADERS = ("x-forwarded-for", "x-real-ip", "forwarded", "via", "x-forwarded-host", "cf-connecting-ip")
_OWN_NAMES = ("localhost",)


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """Who came in. `token`: the login that proved it, if one did."""

    user: User
    token: Token | None = None


class Door:
    """Decides who callers are. `settings`: as they are now."""

    def __init__(self, users: UserStore, tokens: TokenStore, settings: Callable[[], AuthorizationSettings]) -> None:
        self._users = users
        self._tokens = tokens
        self._settings = settings

    @property
    def is_open(self) -> bool:
        """Whether nobody needs to log in."""
        return not self._settings().authorization_required

    async def enter(self, headers: Mapping[str, str], peer: str) -> Entrant | None:
        """The caller, None when nobody proved to be anyone. `headers`: by lower-case name. `peer`: the other end."""
        if self.is_open:
            return Entrant(user=self._users.caller(headers.get("x-swarm-user_id")))
        for text in token_texts(headers):
            token = self._tokens.proven(text) or await to_thread(self._tokens.check, text)
            user = await self._owner(token)
            if user is not None:
                return Entrant(user=user, token=token)
        if self._settings().allow_localhost_bypass and is_this_machine(headers, peer):
            return Entrant(user=self._users.caller(None))
        return None

    async def _owner(self, token: Token | None) -> User | None:
        """The user of a token, if there still is one."""
        if token is None:
            return None
        return self._users.find(token.user_id) or await to_thread(self._users.known, token.user_id)

    async def token(self, headers: Mapping[str, str]) -> Token | None:
        """The login that the caller's cookie stands for."""
        for text in token_texts(headers):
            found = self._tokens.proven(text) or await to_thread(self._tokens.check, text)
            if found is not None:
                return found
        return None


def token_texts(headers: Mapping[str, str]) -> Iterator[str]:
    """What may be login tokens: the cookie, then `Authorization: Bearer`."""
    for part in headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and value:
            yield value
    authorization = headers.get("authorization", "")
    if authorization.lower().startswith(_BEARER):
        yield authorization[len(_BEARER) :].strip()


def is_this_machine(headers: Mapping[str, str], peer: str) -> bool:
    """Whether the caller is a program on this machine that speaks for itself."""
    if any(name in headers for name in _PROXY_HEADERS):
        return False
    host = headers.get("host", "").lower()
    name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
    return _is_loopback(peer) and (name in _OWN_NAMES or _is_loopback(name))


def _is_loopback(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback

"""The outermost layer: keeps other web pages from using a visitor's browser to talk to this server.

Pure ASGI, for HTTP and WebSocket alike. It decides by the headers browsers add and scripts cannot forge (`Host`,
`Origin`, `Sec-Fetch-*`); clients that are not browsers send none of them and pass. It also answers CORS, checks the
server-wide Authorization text, and puts security headers on every response (swarm-core 8.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from swarm.api.hosts import is_host, is_own_host, is_same_origin
from swarm.base.json import dumps
from swarm.settings.server import NetworkSettings

Header = tuple[bytes, bytes]

_JSON: Header = (b"content-type", b"application/json")
_TEXT: Header = (b"content-type", b"text/plain; charset=utf-8")
_MAX_ADDRESS_BYTES = 16 * 1024
_MAX_HEADERS = 200
_MAX_HEADER_BYTES = 64 * 1024
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({b"same-origin", b"none"})
_FIXED_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_DEFAULT_POLICY: Header = (b"content-security-policy", b"default-src 'none'; sandbox; frame-ancestors 'none'")
_OWN_RESOURCES: Header = (b"cross-origin-resource-policy", b"same-origin")
_ANY_RESOURCES: Header = (b"cross-origin-resource-policy", b"cross-origin")


@dataclass(frozen=True)
class _Answer:
    """What is said instead of passing a request on."""

    status: int
    headers: tuple[Header, ...]
    body: bytes


def _refusal(status: int, error_id: str, sentence: str) -> _Answer:
    return _Answer(status, (_JSON,), dumps({"error": sentence, "error_id": error_id}))


_BAD_HOST = _refusal(400, "bad_host", "The Host header of this request is missing or malformed.")
_FOREIGN_HOST = _refusal(
    421,
    "bad_host",
    "This server does not go by that name. Its owner can add the name to the setting Network.AllowedHosts.",
)
_FOREIGN_PAGE = _refusal(403, "bad_origin", "A page of another site may not use this server.")
_NO_SOCKET = _refusal(403, "bad_route", "No WebSocket is opened at this address.")
_TOO_LONG = _refusal(414, "too_long", "The address of this request is too long.")
_TOO_MUCH = _refusal(431, "too_much", "This request has too many headers, or too long ones.")
_UNAUTHORIZED = _Answer(401, (_TEXT,), b"Unauthorized")
_PREFLIGHT = _Answer(
    204,
    (
        (b"access-control-allow-methods", b"*"),
        (b"access-control-allow-headers", b"*"),
        (b"access-control-max-age", b"3600"),
    ),
    b"",
)


class Guard:
    """ASGI middleware. `network`: the settings as they are now. `names`: further own names, see `machine_names`."""

    def __init__(
        self, app: ASGIApp, *, network: Callable[[], NetworkSettings], names: frozenset[str] = frozenset()
    ) -> None:
        self._app = app
        self._network = network
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        network = self._network()
        answer = self._answer(scope, network)
        send = _with_headers(send, network.access_control_allow_origin.strip())
        if answer is None:
            return await self._app(scope, receive, _in_words(send, scope))
        return await _give(answer, scope, receive, send)

    def _answer(self, scope: Scope, network: NetworkSettings) -> _Answer | None:
        """What to say instead of passing the request on; None lets it pass."""
        if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > _MAX_ADDRESS_BYTES:
            return _TOO_LONG
        if len(scope["headers"]) > _MAX_HEADERS or _size(scope) > _MAX_HEADER_BYTES:
            return _TOO_MUCH
        seen = _Seen.of(scope)
        if seen is None or not is_host(seen.host):
            return _BAD_HOST
        if not is_own_host(seen.host, network.allowed_hosts, self._names):
            return _FOREIGN_HOST
        if _is_foreign(scope, seen, network):
            return _FOREIGN_PAGE
        if network.access_control_allow_origin.strip() and scope.get("method") == "OPTIONS":
            return _PREFLIGHT
        if network.required_authorization.strip() and not _is_authorized(scope, seen, network):
            return _UNAUTHORIZED
        return None


@dataclass(frozen=True)
class _Seen:
    """The headers the guard decides by."""

    host: str
    origin: str | None
    referer: str | None
    site: bytes | None
    mode: bytes | None
    destination: bytes | None
    authorization: str | None

    @staticmethod
    def of(scope: Scope) -> _Seen | None:
        """None when there is not exactly one Host."""
        hosts: list[bytes] = []
        found: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            if name == b"host":
                hosts.append(value)
            else:
                found.setdefault(name, value)
        if len(hosts) != 1:
            return None
        return _Seen(
            host=hosts[0].decode("latin-1"),
            origin=_text(found.get(b"origin")),
            referer=_text(found.get(b"referer")),
            site=found.get(b"sec-fetch-site"),
            mode=found.get(b"sec-fetch-mode"),
            destination=found.get(b"sec-fetch-dest"),
            authorization=_text(found.get(b"authorization")),
        )


def _size(scope: Scope) -> int:
    return sum(len(name) + len(value) for name, value in scope["headers"])


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _is_foreign(scope: Scope, seen: _Seen, network: NetworkSettings) -> bool:
    """Whether a page of another site caused this request, and it is more than following a link."""
    if seen.origin is None and seen.site is None:
        return False
    trusted = network.access_control_allow_origin.strip()
    if trusted == "*" or (seen.origin is not None and seen.origin == trusted):
        return False
    if seen.origin is not None and not is_same_origin(seen.origin, seen.host, network.allowed_hosts):
        return True
    if seen.site is None or seen.site in _OWN_SITE:
        return False
    is_call = scope["type"] == "websocket" or scope["path"][:4].lower() == "/api"
    follows_link = seen.mode == b"navigate" and seen.destination in (b"document", None)
    # Plain <img> and <video> of a page that is allowed carry no Origin; a page cannot write another's Referer.
    is_shown_there = bool(trusted) and f"{seen.referer}/".startswith(f"{trusted}/")
    return is_call or scope["method"] not in _SAFE_METHODS or not (follows_link or is_shown_there)


def _is_authorized(scope: Scope, seen: _Seen, network: NetworkSettings) -> bool:
    if seen.authorization == network.required_authorization:
        return True
    client = scope.get("client")
    address = str(client[0]).removeprefix("::ffff:") if client else ""
    return address in {part.strip() for part in network.auth_bypass_ips.split(",")}


def _with_headers(send: Send, allowed_origin: str) -> Send:
    """`send` that adds the security and CORS headers, keeping a policy that the response brings itself."""
    resources = _ANY_RESOURCES if allowed_origin else _OWN_RESOURCES
    added = [*_FIXED_HEADERS, resources]
    if allowed_origin:
        added.append((b"access-control-allow-origin", allowed_origin.encode("latin-1", "ignore")))

    async def guarded(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start"):
            headers = [*message.get("headers", ()), *added]
            if not any(name == _DEFAULT_POLICY[0] for name, _ in headers):
                headers.append(_DEFAULT_POLICY)
            message = {**message, "headers": headers}
        await send(message)

    return guarded


def _in_words(send: Send, scope: Scope) -> Send:
    """`send` that says so when a WebSocket is closed before it was opened, instead of leaving it to the server."""
    if scope["type"] != "websocket" or "websocket.http.response" not in scope.get("extensions", {}):
        return send
    is_open = False

    async def speaking(message: Message) -> None:
        nonlocal is_open
        is_open = is_open or message["type"] != "websocket.close"
        if is_open:
            return await send(message)
        return await _say(_NO_SOCKET, "websocket.http.response", send)

    return speaking


async def _give(answer: _Answer, scope: Scope, receive: Receive, send: Send) -> None:
    """Send `answer`; a WebSocket upgrade is refused with it before it is accepted."""
    prefix = "http.response"
    if scope["type"] == "websocket":
        await receive()
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": 1008})
            return
        prefix = "websocket.http.response"
    await _say(answer, prefix, send)


async def _say(answer: _Answer, prefix: str, send: Send) -> None:
    headers = [*answer.headers]
    if answer.status != 204:
        headers.append((b"content-length", b"%d" % len(answer.body)))
    await send({"type": f"{prefix}.start", "status": answer.status, "headers": headers})
    await send({"type": f"{prefix}.body", "body": answer.body})

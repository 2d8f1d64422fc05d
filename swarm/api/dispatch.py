"""Everything under /API: body -> session -> route -> permission -> arguments -> handler -> answer (swarm-core 1).

One of the three places that catch errors: what a caller may read becomes an `error` sentence, everything else is
logged and becomes `internal_error`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import anyio
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from swarm.accounts.session import Session
from swarm.api.address import counted_address, peer_address, source_address
from swarm.api.binding import Argument, arguments_of, as_text, bind
from swarm.api.body import announced_length, is_json_type, parse_object
from swarm.api.problems import (
    BAD_LENGTH,
    INTERNAL_ERROR,
    INVALID_SESSION,
    LACKS_PERMISSION,
    MISSING_SESSION,
    NEEDS_HTTP,
    NEEDS_WEBSOCKET,
    NO_RESULT,
    UNKNOWN_ROUTE,
    WRONG_CONTENT_TYPE,
    Problem,
    answered,
    told,
)
from swarm.api.route import Call, Route, SocketGone
from swarm.api.strangers import STRANGERS_BODY, is_known, let_send
from swarm.api.stream import ERROR_SECONDS, JsonSocket
from swarm.base.database import BUSY, DISK_FULL, readable
from swarm.base.errors import BackendError, BadInput, UserError
from swarm.base.json import JsonObject, dumps
from swarm.base.tasks import only_error, to_thread
from swarm.state import AppState

_log = logging.getLogger(__name__)
_PREFIX = "/api"
_FIRST_MESSAGE_SECONDS = 60.0
_SESSIONLESS = frozenset({"login", "getnewsession", "registerbasic", "registeroauth"})
_NO_GET = (
    {
        "type": "http.response.start",
        "status": 302,
        "headers": [(b"location", b"/Error/NoGetAPI"), (b"content-length", b"0")],
    },
    {"type": "http.response.body", "body": b""},
)


class _ClientGone(Exception):
    """The client left before its request was complete."""


@dataclass(frozen=True)
class _Bound:
    """A route with what its handler wants."""

    route: Route
    arguments: tuple[Argument, ...]


@dataclass(frozen=True)
class _Admitted:
    """A call that may go on to the handler."""

    bound: _Bound
    call: Call


class Dispatch:
    """ASGI application for HTTP and WebSocket calls under /API."""

    def __init__(self, state: AppState, routes: Mapping[str, Route]) -> None:
        """Raises BadHandler when a route cannot be bound."""
        self._state = state
        self._routes = {route.id: _Bound(route, arguments_of(route)) for route in routes.values()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        elif scope["method"] == "POST":
            await self._post(scope, receive, send)
        else:
            for message in _NO_GET:
                await send(message)

    async def _post(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        length = announced_length(headers, self._state.settings.network.max_request_bytes)
        if not is_json_type(headers.get(b"content-type")):
            return await _reply(send, WRONG_CONTENT_TYPE, unread=True)
        if length is None:
            return await _reply(send, BAD_LENGTH, unread=True)
        if length > STRANGERS_BODY and not await is_known(self._state, scope, headers):
            return await _reply(send, INVALID_SESSION, unread=True)
        try:
            body = await parse_object(await _read(receive, length))
        except BadInput:
            return await _reply(send, INTERNAL_ERROR)
        except _ClientGone:
            return None
        admitted = await self._admit(scope, headers, body)
        if isinstance(admitted, Problem):
            return await _reply(send, admitted)
        return await _reply(send, await _answer(admitted), admitted.call.cookies)

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        if await is_known(self._state, scope, dict(reversed(scope["headers"]))):
            let_send(scope)
        await websocket.accept()
        socket = JsonSocket(websocket)
        try:
            problem = await self._talk(scope, socket)
            if problem is not None:
                await socket.send(problem.message, seconds=ERROR_SECONDS)
        except SocketGone:
            return
        finally:
            await socket.close()

    async def _talk(self, scope: Scope, socket: JsonSocket) -> Problem | None:
        """The whole conversation; returns what is left to complain about."""
        try:
            with anyio.fail_after(_FIRST_MESSAGE_SECONDS):
                body = await socket.receive()
        except (BadInput, TimeoutError):
            return INTERNAL_ERROR
        admitted = await self._admit(scope, dict(reversed(scope["headers"])), body)
        if isinstance(admitted, Problem):
            return admitted
        let_send(scope)
        result = await self._converse(admitted, socket)
        if result is None or isinstance(result, Problem):
            return result
        await socket.send(result)
        return None

    async def _converse(self, admitted: _Admitted, socket: JsonSocket) -> JsonObject | Problem | None:
        """Run the handler for as long as the session lasts. Every message is a call of its own: it needs the right."""
        session, route = admitted.call.session, admitted.bound.route
        if session is None:
            return await _run(admitted, socket)
        socket.objection = partial(_objection, session, route)
        loop = asyncio.get_running_loop()
        with anyio.CancelScope() as scope, session.watched(lambda: loop.call_soon_threadsafe(scope.cancel)):
            return await _run(admitted, socket)
        return INVALID_SESSION

    async def _admit(self, scope: Scope, headers: Mapping[bytes, bytes], body: JsonObject) -> _Admitted | Problem:
        """Session, route, transport and permission, in the order that decides which problem is reported."""
        key = scope["path"].lower().partition(f"{_PREFIX}/")[2]
        bound = self._routes.get(key)
        session: Session | None = None
        if key not in _SESSIONLESS and not (bound and bound.route.sessionless):
            found = await self._session(headers, body)
            if isinstance(found, Problem):
                return found
            session = found
        if bound is None:
            return UNKNOWN_ROUTE
        if bound.route.websocket != (scope["type"] == "websocket"):
            return NEEDS_WEBSOCKET if bound.route.websocket else NEEDS_HTTP
        if session is not None:
            self._note(session, bound.route)
            problem = _refusal(session, bound.route)
            if problem is not None:
                return problem
        return _Admitted(bound, self._call(scope, headers, session, body))

    async def _session(self, headers: Mapping[bytes, bytes], body: JsonObject) -> Session | Problem:
        if "session_id" in body:
            session_id = as_text(body["session_id"])
        elif b"x-session-id" in headers:
            session_id = headers[b"x-session-id"].decode("latin-1")
        else:
            return MISSING_SESSION
        sessions = self._state.sessions
        return sessions.live(session_id) or await to_thread(sessions.find, session_id) or INVALID_SESSION

    def _note(self, session: Session, route: Route) -> None:
        now = self._state.clock()
        session.present(now)
        if route.touches:
            session.use(now)

    def _call(self, scope: Scope, headers: Mapping[bytes, bytes], session: Session | None, body: JsonObject) -> Call:
        settings = self._state.settings
        return Call(
            state=self._state,
            session=session,
            body=body,
            address=source_address(scope, settings.network.max_x_forwarded_for),
            peer=peer_address(scope),
            counted=counted_address(scope, settings.user_authorization.trusted_proxies),
            headers={name.decode("latin-1"): value.decode("latin-1") for name, value in headers.items()},
        )


def _refusal(session: Session, route: Route) -> Problem | None:
    """Why this session may not call the route now."""
    if session.has_ended:
        return INVALID_SESSION
    if route.permission is not None and not session.user.permits(route.permission):
        return LACKS_PERMISSION
    return None


def _objection(session: Session, route: Route) -> JsonObject | None:
    problem = _refusal(session, route)
    return None if problem is None else problem.message


async def _answer(admitted: _Admitted) -> Problem:
    """The answer to a POST, good or bad: status and body."""
    result = await _run(admitted)
    if result is None:
        return NO_RESULT
    return result if isinstance(result, Problem) else answered(result)


async def _run(admitted: _Admitted, *socket: JsonSocket) -> JsonObject | Problem | None:
    """Bind and call the handler; errors become problems."""
    route = admitted.bound.route
    try:
        arguments = bind(admitted.bound.arguments, admitted.call.body)
        return await route.handler(admitted.call, *socket, **arguments)
    except SocketGone:
        raise
    except (Exception, SystemExit) as error:  # noqa: BLE001 - the edge: nothing may escape to the server
        cause = readable(only_error(error))
        if isinstance(cause, SocketGone):
            raise cause from None
        if isinstance(cause, UserError | BackendError):
            if isinstance(cause, UserError) and cause.error_id in (BUSY, DISK_FULL):
                _log.warning("The route %s could not write: %s", route.name, cause.sentence)
            return told(cause)
        _log.exception("The route %s failed.", route.name)
        return INTERNAL_ERROR


async def _read(receive: Receive, length: int) -> bytes | bytearray:
    """The whole body, `length` bytes of it. Raises _ClientGone when it ends early."""
    body = bytearray()  # grows in place: a list of parts to join would hold a large body twice
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _ClientGone
        part = message.get("body", b"")
        if not body and not message.get("more_body", False) and len(part) <= length:
            return bytes(part)
        body += part
        if len(body) > length:
            raise BadInput("The body is longer than it was announced.")
        if not message.get("more_body", False):
            return body


async def _reply(send: Send, answer: Problem, cookies: Iterable[str] = (), *, unread: bool = False) -> None:
    """Send the answer. `unread`: the body was not looked at, and the connection ends instead of waiting for it."""
    try:
        data = dumps(answer.body)
    except TypeError:
        _log.exception("An answer could not be written as JSON.")
        answer = INTERNAL_ERROR
        data = dumps(answer.body)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(data)),
        (b"cache-control", b"no-store"),
        *((b"set-cookie", cookie.encode("latin-1")) for cookie in cookies),
        *([(b"connection", b"close")] if unread else []),
        *([(b"retry-after", b"5")] if answer.status == 503 else []),
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": data})


class ApiRoute(BaseRoute):
    """Leads `/API`, `/api/…` in any case, HTTP and WebSocket, to a Dispatch."""

    def __init__(self, dispatch: Dispatch) -> None:
        self._dispatch = dispatch

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] not in ("http", "websocket"):
            return Match.NONE, {}
        if scope.get("method") in ("GET", "HEAD") and scope["path"].lower() == _PREFIX:
            return Match.NONE, {}  # the page that explains the API
        head = scope["path"][: len(_PREFIX) + 1].lower()
        return (Match.FULL, {}) if head in (_PREFIX, f"{_PREFIX}/") else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._dispatch(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        raise NoMatchFound(name, path_params)

"""What a route is: a declared value made from a handler by `@route`.

    @route("ListShiny", permission=VIEW_SHINY)
    async def list_shiny(call: Call, limit: int = 10) -> JsonObject:
        '''What it answers, for the docs page.'''

The handler's parameters after `call` are the wire's parameters: exact names, types str int float bool list[str] or
`Body` (the whole body minus session_id). A WebSocket route takes `socket: ApiSocket` right after `call` and may
return None. `answers=` says what shape the answer has (see `shapes`); for sockets, that of each message.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NewType, Protocol, TypeAlias

from swarm.access.permission import Permission
from swarm.accounts.session import Session
from swarm.api.shapes import Shape
from swarm.base.json import Json, JsonObject
from swarm.state import AppState

Handler: TypeAlias = Callable[..., Awaitable[JsonObject | None]]
Body = NewType("Body", dict[str, Any])


class ApiSocket(Protocol):
    """The socket of a WebSocket route; one JSON object per message both ways."""

    async def send(self, message: JsonObject) -> None:
        """Send one message. Raises SocketGone when the other side left."""

    async def receive(self) -> JsonObject:
        """The next message. Raises SocketGone when the other side left, BadInput when it is not a JSON object."""


class SocketGone(Exception):
    """The other side closed the socket, or stopped reading."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """Who calls, and the services a handler may use. `session` is None only in sessionless routes.

    `address`: for records. `peer`: the other end of the connection. `counted`: whose attempts are counted together.
    `cookies`: values of Set-Cookie for the answer; a handler may add some.
    """

    state: AppState
    session: Session | None
    body: JsonObject
    address: str
    headers: dict[str, str]
    peer: str = ""
    counted: str = ""
    cookies: list[str] = field(default_factory=list)

    @property
    def caller(self) -> Session:
        """The session; only for routes that need one (dispatch has made sure)."""
        if self.session is None:
            raise RuntimeError("A sessionless route asked for its session.")
        return self.session


@dataclass(frozen=True, kw_only=True)
class Route:
    """One API route. `touches`: the call counts as use of the session and user (the wire's "user update" flag).

    `answers`: the shape of its answer when nothing is wrong; None for any object.
    """

    name: str
    handler: Handler
    permission: Permission | None
    websocket: bool
    touches: bool
    sessionless: bool
    doc: str
    answers: Shape = None

    @property
    def id(self) -> str:
        return self.name.lower()


def route(
    name: str,
    *,
    permission: Permission | None = None,
    websocket: bool = False,
    touches: bool = False,
    sessionless: bool = False,
    answers: Shape = None,
) -> Callable[[Handler], Route]:
    """Declare `handler` as the API route `name` (spelled as on the wire; matched in any case)."""

    def declare(handler: Handler) -> Route:
        return Route(
            name=name,
            handler=handler,
            permission=permission,
            websocket=websocket,
            touches=touches,
            sessionless=sessionless,
            doc=(handler.__doc__ or "").strip(),
            answers=answers,
        )

    return declare


__all__ = ["ApiSocket", "Body", "Call", "Handler", "Json", "JsonObject", "Route", "SocketGone", "route"]

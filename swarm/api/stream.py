"""The socket that WebSocket routes talk through: one JSON object per message, with timeouts both ways."""

from __future__ import annotations

from collections.abc import Callable

import anyio
from starlette.websockets import WebSocket, WebSocketDisconnect

from swarm.api.body import parse_object
from swarm.api.route import SocketGone
from swarm.base.errors import BadInput
from swarm.base.json import JsonObject, dumps

SEND_SECONDS = 120.0
ERROR_SECONDS = 60.0
CLOSE_SECONDS = 60.0
NORMAL_CLOSURE = 1000
DROP = "swarm.drop"
"""Name of the extension by which a socket whose client does not read is given up: a function without arguments."""


class JsonSocket:
    """An accepted Starlette WebSocket as an `ApiSocket`. Several tasks may send; one may receive.

    `objection`: asked after every message; what it returns is sent instead of passing the message on, and is the end.
    """

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket
        self._is_dropped = False
        self.objection: Callable[[], JsonObject | None] = lambda: None

    async def send(self, message: JsonObject, *, seconds: float | None = None) -> None:
        """Send one text frame. Raises SocketGone when the other side left, or took none of it for `seconds`."""
        try:
            with anyio.fail_after(SEND_SECONDS if seconds is None else seconds):
                await self._websocket.send({"type": "websocket.send", "text": dumps(message).decode()})
        except TimeoutError:
            self._drop()
            raise SocketGone("The client does not read.") from None
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            raise SocketGone(str(error)) from None

    def _drop(self) -> None:
        """Waiting for room to say goodbye would take as long again."""
        self._is_dropped = True
        drop: Callable[[], None] | None = self._websocket.scope.get("extensions", {}).get(DROP)
        if drop is not None:
            drop()

    async def receive(self) -> JsonObject:
        """The next message, text or binary UTF-8. Raises SocketGone, or BadInput when it is not a JSON object."""
        try:
            message = await self._websocket.receive()
        except RuntimeError as error:
            raise SocketGone(str(error)) from None
        if message["type"] != "websocket.receive":
            raise SocketGone("The client closed the socket.")
        data: bytes | str | None = message.get("text")
        if data is None:
            data = message.get("bytes") or b""
        if not data:
            raise BadInput("The message is empty.")
        objection = self.objection()
        if objection is not None:
            await self.send(objection, seconds=ERROR_SECONDS)
            raise SocketGone("The caller may not go on.")
        return await parse_object(data)

    async def close(self) -> None:
        """Close normally, without a reason. Does nothing when the socket is gone already."""
        if self._is_dropped:
            return
        try:
            with anyio.move_on_after(CLOSE_SECONDS):
                await self._websocket.close(NORMAL_CLOSURE)
        except (WebSocketDisconnect, RuntimeError, OSError):
            return

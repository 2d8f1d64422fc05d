"""What the server bears from connections: those that send too little are closed, as are too many from one address.

uvicorn itself waits for ever for the head of a connection's first request, and for the rest of a body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from swarm.api.crowd import Crowd
from swarm.api.strangers import MORE, STRANGERS_MESSAGE
from swarm.api.stream import DROP

_TOO_MUCH = b'{"error":"This request has too many headers, or too long ones.","error_id":"too_much"}'
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_TOO_MUCH), _TOO_MUCH)
)
_CROWDED = b'{"error":"There are too many connections from your address. Close some of them.","error_id":"crowded"}'
_NO_ROOM = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 30\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_CROWDED), _CROWDED)
)
_OFFERS = frozenset({b"upgrade", b"http2-settings"})


class PatientProtocol(HttpToolsProtocol):
    """HTTP on one connection. The head of a request must be there within `head_seconds` and `head_bytes`; of a body at
    least `body_rate` bytes per second must come, once `body_seconds` are over. `crowd`: who is here already."""

    crowd: ClassVar[Crowd] = Crowd(0)
    head_seconds: ClassVar[float] = 20.0
    head_bytes: ClassVar[int] = 96 * 1024
    body_seconds: ClassVar[float] = 60.0
    body_rate: ClassVar[int] = 1024

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _received = 0
    _began = 0.0
    _counted: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        address = _address(self.client)
        if not self.crowd.enter(address):
            transport.write(_NO_ROOM)
            transport.close()
            return
        self._counted = address
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        self._feed(data)
        if self._in_head and self._received > self.head_bytes:
            self.transport.write(_REFUSAL)
            self._give_up()

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        waiting = [memoryview(data)]
        while waiting:
            piece = waiting.pop()
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                if self._should_upgrade():
                    self.handle_websocket_upgrade()
                if not self._is_offered_more():
                    return
                waiting += [piece[upgrade.args[0] :], memoryview(self._stay())]
            except httptools.HttpParserError:
                self.logger.warning("Invalid HTTP request received.")
                self.send_400_response("Invalid HTTP request received.")
                return

    def _is_offered_more(self) -> bool:
        """Whether the request would rather go on in another protocol than WebSocket, mostly HTTP/2."""
        if not self.parser.should_upgrade() or self._should_upgrade():
            return False
        return any(name == b"upgrade" for name, _ in self.headers)

    def _stay(self) -> bytes:
        """The head of the request without its offer, for a new parser: the old one takes what follows the head for the
        other protocol.

        Java's and other clients make the offer on every plain connection, and are content with HTTP/1.1.
        """
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name not in _OFFERS:
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn sets it
        return b"".join([*head, b"\r\n"])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._expect_head()

    def on_headers_complete(self) -> None:
        if self._is_offered_more():
            return
        self._stop_timer()
        self._in_head = False
        self._received, self._began = 0, self.loop.time()
        self._timer = self.loop.call_later(self.body_seconds, self._look_at_body)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        if self._is_offered_more():
            return
        self._stop_timer()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._stop_timer()
        self._leave()  # the socket counts itself
        super().handle_websocket_upgrade()

    def _leave(self) -> None:
        if self._counted is not None:
            self.crowd.leave(self._counted)
            self._counted = None

    def _expect_head(self) -> None:
        self._stop_timer()
        self._in_head, self._received = True, 0
        self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _look_at_body(self) -> None:
        seconds = self.loop.time() - self._began
        if self._received < self.body_rate * seconds and not self.flow.read_paused:
            self._give_up()
        else:
            self._timer = self.loop.call_later(self.body_seconds, self._look_at_body)

    def _give_up(self) -> None:
        self._stop_timer()
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class PatientSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose messages stay short until the application has said, by calling `scope["extensions"][MORE]`,
    that it knows the caller. `crowd`: as above. `unread_bytes`: what may wait to be sent when another ping comes.
    `drop_seconds`: how long one who is given up because it did not read may still read."""

    crowd: ClassVar[Crowd] = Crowd(0)
    drop_seconds: ClassVar[float] = 5.0
    unread_bytes: ClassVar[int] = 1024 * 1024

    _counted: str | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._counted = _address(self.client)
        self.crowd.enter(self._counted)
        self.conn.max_message_size = STRANGERS_MESSAGE

    def connection_lost(self, exc: Exception | None) -> None:
        if self._counted is not None:
            self.crowd.leave(self._counted)
            self._counted = None
        super().connection_lost(exc)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if not self.handshake_complete:
            self.scope["extensions"][MORE] = self._take_more  # type: ignore[assignment]
            self.scope["extensions"][DROP] = self._drop  # type: ignore[assignment]

    def handle_ping(self) -> None:
        """Answer, unless answers are not read: they would be kept for ever."""
        if self.transport.get_write_buffer_size() > self.unread_bytes:
            self.transport.abort()
            return
        super().handle_ping()

    def send_receive_event_to_app(self) -> None:
        """Text that is no UTF-8 ends the conversation; uvicorn does the same, with a traceback in the log."""
        if self.curr_msg_data_type == "text" and not self.close_sent and not _is_text(self.frames):
            self.frames = []
            self.conn.send_close(1007)
            self.handle_parser_exception()
            return
        super().send_receive_event_to_app()

    def _drop(self) -> None:
        """Close with 1013, "try again later", whether there is room for it or not."""
        if self.transport.is_closing():
            return
        self.conn.send_close(1013, "You do not read.")
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.loop.call_later(self.drop_seconds, self.transport.abort)

    def _take_more(self) -> None:
        self.conn.max_message_size = self.config.ws_max_size


def counted_by(crowd: Crowd) -> tuple[type[PatientProtocol], type[PatientSocket]]:
    """The protocols of one server, which count connections together."""
    return (
        type("CountedProtocol", (PatientProtocol,), {"crowd": crowd}),
        type("CountedSocket", (PatientSocket,), {"crowd": crowd}),
    )


def _is_text(parts: Sequence[bytes]) -> bool:
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


def _address(client: tuple[str, int] | None) -> str:
    return client[0] if client is not None else "unknown"

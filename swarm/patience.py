"""How long the server waits for slow or endless requests: connections that send too little are closed.

uvicorn itself waits for ever for the head of a connection's first request, and for the rest of a body.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_MUCH = b'{"error":"This request has too many headers, or too long ones.","error_id":"too_much"}'
_REFUSAL = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\n"
    b"content-length: %d\r\nconnection: close\r\n\r\n%s" % (len(_TOO_MUCH), _TOO_MUCH)
)


class PatientProtocol(HttpToolsProtocol):
    """HTTP on one connection. The head of a request must be there within `head_seconds` and `head_bytes`; of a body at
    least `body_rate` bytes per second must come, once `body_seconds` are over."""

    head_seconds: ClassVar[float] = 20.0
    head_bytes: ClassVar[int] = 1024 * 1024 + 64 * 1024
    body_seconds: ClassVar[float] = 60.0
    body_rate: ClassVar[int] = 1024

    _timer: asyncio.TimerHandle | None = None
    _in_head = False
    _received = 0
    _began = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        if self._in_head and self._received > self.head_bytes:
            self.transport.write(_REFUSAL)
            self._give_up()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._stop_timer()
        self._in_head = False
        self._received, self._began = 0, self.loop.time()
        self._timer = self.loop.call_later(self.body_seconds, self._look_at_body)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._stop_timer()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        self._stop_timer()
        super().handle_websocket_upgrade()

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

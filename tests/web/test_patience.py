"""Slow and endless requests are dropped, and nobody else notices (security cases I12, T72, T73, F17)."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

import httpx2
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket

from swarm.api.route import SocketGone
from swarm.api.stream import JsonSocket
from swarm.patience import PatientProtocol
from swarm.serve import uvicorn_settings
from swarm.settings.server import ServerSettings
from tests.conftest import Serve
from tests.support.server import ThreadServer, free_port


class Hasty(PatientProtocol):
    """The same with little time."""

    head_seconds = 0.5
    body_seconds = 0.5


gave_up = threading.Event()


async def size_of_body(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def flood(websocket: WebSocket) -> None:
    await websocket.accept()
    talk = JsonSocket(websocket)
    try:
        while True:
            await talk.send({"data": "x" * 1_000_000}, seconds=0.5)
    except SocketGone:
        gave_up.set()


@contextmanager
def served() -> Iterator[int]:
    port = free_port()
    app = Starlette(routes=[Route("/", size_of_body, methods=["POST"]), WebSocketRoute("/flood", flood)])
    settings = {**uvicorn_settings(ServerSettings()), "http": Hasty, "lifespan": "off"}
    server = ThreadServer(uvicorn.Config(app, host="127.0.0.1", port=port, **settings))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield port
    finally:
        server.should_exit = True
        thread.join(10)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as found:
        yield found


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def everything(connection: socket.socket) -> bytes:
    heard = b""
    try:
        while data := connection.recv(65536):
            heard += data
    except ConnectionResetError:
        pass
    return heard


@pytest.mark.case("T73")
@pytest.mark.parametrize("head", [b"", b"POST / HTT", b"POST / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_a_head_that_does_not_come_is_not_waited_for(port: int, head: bytes) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(head)
        began = time.monotonic()
        assert everything(connection) == b""
        assert time.monotonic() - began < 5


@pytest.mark.case("T73")
def test_drops_of_a_head_do_not_help_and_others_are_served(port: int) -> None:
    with ExitStack() as held:
        slow = [held.enter_context(closing(connected(port))) for _ in range(50)]
        for connection in slow:
            connection.sendall(b"POST / HTTP/1.1\r\n")
        answer = httpx2.post(f"http://127.0.0.1:{port}/", content=b"abc", trust_env=False)
        assert answer.text == "3"
        time.sleep(0.3)
        for connection in slow:
            connection.sendall(b"X-A: b\r\n")
        assert [everything(connection) for connection in slow] == [b""] * 50


@pytest.mark.case("I12")
def test_a_body_that_does_not_come_is_not_waited_for(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
        began = time.monotonic()
        assert not everything(connection).startswith(b"HTTP/1.1 200")
        assert time.monotonic() - began < 5


def test_a_slow_line_with_a_steady_flow_is_fine(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 8000\r\n\r\n")
        for _ in range(8):
            time.sleep(0.15)
            connection.sendall(b"x" * 1000)
        assert everything(connection).endswith(b"8000")


@pytest.mark.case("T72")
def test_an_endless_head_is_cut(port: int) -> None:
    with closing(connected(port)) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        sent = 0
        try:
            while sent < 20 * 1024 * 1024:
                sent += connection.send(b"a" * 65536)
        except OSError:
            pass
        assert sent < 16 * 1024 * 1024


def test_a_connection_may_go_on_after_an_answer(port: int) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        for size in (1, 2000, 3):
            assert client.post("/", content=b"x" * size).text == str(size)
            time.sleep(0.6)


@pytest.mark.case("F17")
def test_a_reader_that_does_not_read_is_dropped(port: int) -> None:
    gave_up.clear()
    with closing(connected(port)) as connection:
        connection.sendall(
            b"GET /flood HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert gave_up.wait(10)


def test_a_socket_that_says_nothing_is_closed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.api.dispatch._FIRST_MESSAGE_SECONDS", 0.3)
    client = serve()
    with client.socket("GenerateText2ImageWS") as quiet:
        assert json.loads(quiet.recv(timeout=5))["error_id"] == "internal_error"

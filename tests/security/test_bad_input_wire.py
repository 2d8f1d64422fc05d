"""HTTP and WebSocket as no client speaks them. One server meets everything, and at the end its log has no traceback."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm.settings.file import save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    PING,
    PONG,
    TEXT,
    close_code,
    dial,
    exchange,
    frame,
    head,
    heard,
    status_of,
    until_closed,
    upgrade,
)
from tests.support.server import ServerProcess, free_port

MEBIBYTE = 2**20
WS = "/API/GenerateText2ImageWS"
JSON = "Content-Type: application/json"
SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}


class Target:
    """A server of its own, and what it wrote."""

    def __init__(self, folder: Path) -> None:
        world = World(folder)
        world.backends(StepMilliseconds=0)
        write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
        save_settings(
            ServerSettings(network=NetworkSettings(max_network_request_megabytes=2)), world.data / "Settings.fds"
        )
        self.log = folder / "log"
        self.server = ServerProcess(folder, free_port(), log=self.log)
        self.base = self.server.base
        self.server.wait_until_up()
        self.process = psutil.Process(self.server.child.pid)

    def check(self) -> None:
        """It lives, answers, and had no trouble that nobody foresaw."""
        with SwarmClient(self.base) as client:
            assert len(client.generate(**SMALL, donotsave=True)["images"]) == 1
        text = self.log.read_text("utf-8", errors="replace")
        assert "Traceback" not in text, text[-3000:]


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("wire"))
    try:
        yield made
        made.check()
    finally:
        made.server.stop()


HELLO = b'{"session_id": "'
CONVERSATIONS: dict[str, tuple[bytes, set[int | None]]] = {
    "text that is no UTF-8": (frame(TEXT, b"\xff\xfe{}"), {1007}),
    "UTF-8 broken over two fragments": (frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"x"), {1007}),
    "more than fits": (frame(TEXT, b"x" * (2 * MEBIBYTE + 1)), {1009, None}),
    "more than fits, announced": (frame(TEXT, b"x", length=2**62), {1009, 1002}),
    "a length with its highest bit set": (frame(TEXT, b"x", length=2**63 + 5), {1002, 1009}),
    "more than fits, in pieces": (
        frame(TEXT, b"x" * MEBIBYTE, fin=False) + frame(CONTINUATION, b"x" * MEBIBYTE, fin=False) * 2,
        {1009, None},
    ),
    "an unknown opcode": (frame(3, b"x"), {1002}),
    "an unknown control frame": (frame(11, b"x"), {1002}),
    "reserved bits": (frame(TEXT, b"{}", reserved=4), {1002}),
    "a deflated bomb nobody agreed on": (frame(TEXT, b"\xec\xc1\x01\x01\x00\x00" * 100, reserved=4), {1002}),
    "no mask": (frame(TEXT, b"{}", masked=False), {1002}),
    "a long ping": (frame(PING, b"x" * 126), {1002}),
    "a ping in pieces": (frame(PING, b"x", fin=False), {1002}),
    "a continuation of nothing": (frame(CONTINUATION, b"x"), {1002}),
    "a text within a text": (frame(TEXT, b"{", fin=False) + frame(TEXT, b"}"), {1002}),
    "a close without a code": (frame(CLOSE), {1005, 1000}),
    "a close with half a code": (frame(CLOSE, b"\x03"), {1002}),
    "a close with a code that is none": (frame(CLOSE, struct.pack(">H", 999)), {1002}),
    "a close with a reason that is no UTF-8": (frame(CLOSE, struct.pack(">H", 1000) + b"\xff"), {1002, 1007}),
    "HTTP": (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3, {1002}),
    "zeros": (b"\0" * 1000, {1002}),
    "an empty text": (frame(TEXT, b""), {1000}),
    "an empty binary": (frame(BINARY, b""), {1000}),
    "pongs nobody asked for": (frame(PONG, b"x") * 100 + frame(TEXT, b"no"), {1000}),
    "many small pieces": (
        frame(TEXT, b"n", fin=False) + frame(CONTINUATION, b"x", fin=False) * 20_000 + frame(CONTINUATION, b"o"),
        {1000},
    ),
    "many empty pieces": (
        frame(TEXT, b"n", fin=False) + frame(CONTINUATION, b"", fin=False) * 20_000 + frame(CONTINUATION, b"o"),
        {1000},
    ),
    "an object of another kind": (frame(TEXT, b'{"images": {"a": []}, "session_id": []}'), {1000}),
}


@pytest.mark.case("I11")
@pytest.mark.parametrize(("data", "codes"), CONVERSATIONS.values(), ids=CONVERSATIONS)
def test_a_broken_conversation_ends_with_the_right_code(target: Target, data: bytes, codes: set[int | None]) -> None:
    with upgrade(target.base, WS) as line:
        with suppress(ConnectionError, TimeoutError):
            line.sendall(data)
        assert close_code(until_closed(line)) in codes


@pytest.mark.case("I11")
def test_pings_are_answered_but_not_hoarded(target: Target) -> None:
    """A client that floods with pings and reads no answer does not fill the memory."""
    with upgrade(target.base, WS) as line:
        line.sendall(frame(PING, b"hello"))
        assert line.recv(100) == b"\x8a\x05hello"
    before = target.process.memory_info().rss
    with upgrade(target.base, WS, timeout=3) as line:
        flood = frame(PING, b"x" * 125) * 1000
        with suppress(ConnectionError, TimeoutError):
            for _ in range(300):
                line.sendall(flood)
        assert target.process.memory_info().rss - before < 16 * MEBIBYTE


@pytest.mark.case("I11")
def test_who_asks_much_and_reads_nothing_is_not_kept_in_memory(target: Target) -> None:
    """Second and further messages while pictures are made, and then gone without a word."""
    before = target.process.memory_info().rss
    with SwarmClient(target.base) as client, ExitStack() as held:
        body = json.dumps({"session_id": client.session_id, "images": 1, **SMALL, "donotsave": True}).encode()
        for _ in range(10):
            line = held.enter_context(upgrade(target.base, WS, timeout=2))
            with suppress(ConnectionError, TimeoutError):
                line.sendall(frame(TEXT, body) * 20)
    assert target.process.memory_info().rss - before < 64 * MEBIBYTE


HANDSHAKES = {
    "no key": ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
    "a short key": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: eA==",
    ),
    "an old version": (
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 8",
        "Sec-WebSocket-Key: eA==",
    ),
    "many headers": (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", *(f"X-{n}: y" for n in range(150))),
    ),
    "a long header": (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", f"X-Long: {'y' * 30_000}"),
    ),
    "two hosts": (
        *("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        *("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Host: evil.example"),
    ),
    "h2c": ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
}


@pytest.mark.case("I11")
@pytest.mark.parametrize("lines", HANDSHAKES.values(), ids=HANDSHAKES)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
def test_handshakes_that_are_none_open_nothing(target: Target, method: str, lines: tuple[str, ...]) -> None:
    answer = exchange(target.base, head(method, WS, *lines), timeout=0.3)
    assert status_of(answer) in (0, 302, 400, 405, 421, 426, 431)


REQUESTS: dict[str, tuple[bytes, set[int]]] = {
    "a thousand headers": (head("GET", "/", *(f"X-{n}: y" for n in range(1000))), {431}),
    "a long address": (head("GET", "/" + "a" * 40_000), {414, 431}),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", {400}),
    "two hosts": (head("GET", "/", "Host: evil.example"), {400}),
    "an empty host": (b"GET / HTTP/1.1\r\nHost: \r\n\r\n", {400}),
    "a host with a path": (head("GET", "/", host="localhost/admin?x"), {400}),
    "a host with a user": (head("GET", "/", host="localhost@evil.example"), {400}),
    "an address in full": (head("GET", "http://evil.example/API/GetNewSession"), {302, 400, 404, 421}),
    "an address in full, by POST": (
        head("POST", "http://evil.example/API/GetNewSession", JSON, "Content-Length: 2", host="evil.example") + b"{}",
        {400, 421},
    ),
    "no address": (b"GET  HTTP/1.1\r\nHost: localhost\r\n\r\n", {400}),
    "an address without a slash": (head("GET", "API"), {302, 400, 404}),
    "a star": (head("OPTIONS", "*"), {302, 400, 404, 405}),
    "a bare line break in a header": (head("GET", "/", "X-A: b\nX-C: d"), {200, 400}),
    "a bare carriage return in a header": (head("GET", "/", "X-A: b\rX-C: d"), {400}),
    "a NUL in a header": (head("GET", "/", "X-A: b\0c"), {400}),
    "a NUL in the address": (head("GET", "/a\0b"), {400}),
    "a header without a colon": (head("GET", "/", "nonsense"), {400}),
    "a blank before the colon": (head("POST", "/API/GetNewSession", JSON, "Transfer-Encoding : chunked"), {400}),
    "a folded header": (head("GET", "/", "X-A: b\r\n folded"), {200, 302, 400}),
    "a header without a name": (head("GET", "/", ": x"), {400}),
    "HTTP/0.9": (b"GET /\r\n\r\n", {0, 400}),
    "HTTP/1.0": (b"GET /health/live HTTP/1.0\r\nHost: localhost\r\n\r\n", {200}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {0, 400}),
    "HTTP/9.9": (b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", {0, 400}),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500, {0, 400}),
    "TRACE": (head("TRACE", "/", "X-Secret: hush"), {302, 400, 404, 405, 501}),
    "CONNECT": (head("CONNECT", "evil.example:443", host="evil.example:443"), {0, 400, 405, 421}),
    "a method nobody knows": (head("FROBNICATE", "/"), {400}),
    "a method in small letters": (head("get", "/"), {400}),
    "a method that never ends": (b"G" * 100_000, {400}),
    "only line breaks": (b"\r\n" * 20_000, {0, 400}),
    "100-continue": (
        head("POST", "/API/GetNewSession", JSON, "Expect: 100-continue", "Content-Length: 2") + b"{}",
        {100},
    ),
    "another expectation": (
        head("POST", "/API/GetNewSession", JSON, "Expect: tea", "Content-Length: 2") + b"{}",
        {200, 417},
    ),
    "chunks that are none": (head("POST", "/API/X", JSON, "Transfer-Encoding: chunked") + b"zz\r\n", {400}),
    "a chunk without end": (
        head("POST", "/API/X", JSON, "Transfer-Encoding: chunked") + b"fffffffffffffffffff\r\n",
        {400},
    ),
    "a smuggled request": (
        head("POST", "/API/GetNewSession", JSON, "Content-Length: 2", "Transfer-Encoding: chunked")
        + b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        {400},
    ),
}


@pytest.mark.case("I12")
@pytest.mark.parametrize(("data", "statuses"), REQUESTS.values(), ids=REQUESTS)
def test_requests_that_are_none_are_refused(target: Target, data: bytes, statuses: set[int]) -> None:
    answer = exchange(target.base, data, timeout=0.5)
    assert status_of(answer) in statuses
    for word in (b"Traceback", b"hush", b"swarm_", str(Path.cwd()).encode()):
        assert word not in answer


@pytest.mark.case("I12")
def test_requests_on_one_line_are_answered_in_order(target: Target) -> None:
    kinds = [("/health/live", 200), ("/Error/404", 404), ("/health/live", 200), ("/View/../x", 400)]
    with dial(target.base, timeout=5) as line:
        line.sendall(b"".join(head("GET", path) for path, _ in kinds * 50) + head("GET", "/", "Connection: close"))
        answer = heard(line)
    statuses = [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert len(statuses) == 201
    expected = [{status} if path != "/View/../x" else {302, 400, 404} for path, status in kinds * 50]
    assert all(status in wanted for status, wanted in zip(statuses, expected, strict=False))


@pytest.mark.case("I12")
def test_bodies_that_end_early_are_forgotten(target: Target) -> None:
    fds = target.process.num_fds()
    for _ in range(200):
        with dial(target.base) as line:
            line.sendall(head("POST", "/API/GenerateText2Image", JSON, "Content-Length: 1000000") + b'{"images": 1,')
    end = time.monotonic() + 10
    while target.process.num_fds() > fds + 5:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.case("I12")
@pytest.mark.case("T73")
def test_five_hundred_slow_heads_slow_nobody_down(target: Target) -> None:
    def seconds() -> list[float]:
        with SwarmClient(target.base) as client:
            taken = []
            client.post("GetCurrentStatus")
            for _ in range(60):
                begun = time.perf_counter()
                client.post("GetCurrentStatus")
                taken.append(time.perf_counter() - begun)
        return sorted(taken)

    calm = seconds()
    with ExitStack() as held:
        lines = [held.enter_context(dial(target.base)) for _ in range(500)]
        for line in lines:
            line.sendall(b"POST /API/GetNewSession HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        done = threading.Event()

        def dribble() -> None:
            while not done.wait(0.5):
                for line in lines:
                    line.sendall(b"y")

        thread = threading.Thread(target=dribble)
        thread.start()
        slow = seconds()
        done.set()
        thread.join()
    assert slow[len(slow) // 2] < max(3 * calm[len(calm) // 2], 0.05)


BOUNDARY = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
FORMS: dict[str, tuple[str, bytes]] = {
    "ten thousand fields": (BOUNDARY, PART * 10_000 + b"--x--\r\n"),
    "a large field": (BOUNDARY, PART[:-3] + b"b" * MEBIBYTE + b"\r\n--x--\r\n"),
    "no boundary": ("multipart/form-data", PART),
    "an empty boundary": ("multipart/form-data; boundary=", PART),
    "a boundary without end": (BOUNDARY, b"--x" + b"-" * MEBIBYTE),
    "line breaks after the boundary": (BOUNDARY, b"--x" + b"\r\n" * 500_000),
    "a long boundary": (f"multipart/form-data; boundary={'x' * 30_000}", PART),
    "a file that is none": (BOUNDARY, PART.replace(b'"a"', b'"a"; filename="../../x.py"') + b"--x--\r\n"),
    "no end": (BOUNDARY, PART * 10),
    "a form": ("application/x-www-form-urlencoded", b"a=b&" * 200_000),
    "brackets in a form": ("application/x-www-form-urlencoded", b"a" + b"[" * 200_000),
}


@pytest.mark.case("I13")
@pytest.mark.parametrize(("kind", "body"), FORMS.values(), ids=FORMS)
def test_forms_are_nowhere_taken(target: Target, kind: str, body: bytes) -> None:
    """No route reads one: they are refused by their type before they are read, wherever they are sent."""
    for path in ("/API/GetNewSession", "/API/AddImageToHistory", "/", "/Text2Image", "/View/local/x.png", "/Login"):
        begun = time.perf_counter()
        lines = (f"Content-Type: {kind}", f"Content-Length: {len(body)}", "Connection: close")
        answer = exchange(target.base, head("POST", path, *lines) + body, timeout=3)
        assert time.perf_counter() - begun < 2.5
        assert status_of(answer) in (0, 200, 302, 400, 404, 405, 431), path
        assert (b"session_id" not in answer and b"error" in answer) or path != "/API/GetNewSession"

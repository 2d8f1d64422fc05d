"""Nobody takes the places, the memory, the disk or the time of everyone else."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import psutil
import pytest

from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.server import NetworkSettings, ServerSettings
from tests.security.worlds import MEBIBYTE, SMALL, wait_until, world_of
from tests.support.accounts import FAR, Member, Owner
from tests.support.client import SwarmClient
from tests.support.raw import (
    TEXT,
    close_code,
    dial,
    exchange,
    frame,
    head,
    heard,
    place,
    status_of,
    until_closed,
    upgrade,
)
from tests.support.server import ServerProcess, free_port, options_for, server_in_thread

SOCKETS = int(os.environ.get("SWARM_SOCKETS", "1000"))
MOST = SOCKETS // 2
ELSEWHERE = "127.0.0.2"
CLOSED = ServerSettings(
    user_authorization=AuthorizationSettings(authorization_required=True),
    network=NetworkSettings(max_connections_per_address=MOST),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own, with accounts, whose memory can be watched."""
    world = world_of(tmp_path_factory.mktemp("process"), CLOSED)
    process = ServerProcess(world.folder, free_port(), log=world.folder / "log")
    try:
        process.wait_until_up()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def alice(server: ServerProcess) -> Iterator[Member]:
    with Owner(server.base) as owner, owner.invite("alice", "user") as member:
        assert member.session_id
        yield member


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    """An open server in this process."""
    world = world_of(tmp_path_factory.mktemp("thread"), ServerSettings())
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


@contextmanager
def memory_of(server: ServerProcess, *, most: float) -> Iterator[None]:
    """The block makes the server take at most so many mebibytes more, at any moment."""
    process = psutil.Process(server.child.pid)
    before = process.memory_info().rss
    highest, done = [before], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            highest.append(process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
    assert (max(highest) - before) / MEBIBYTE < most


def pour(base: str, start: bytes, *, size: int, piece: bytes = b"x" * 65536) -> tuple[int, bytes]:
    """Send `start` and then up to `size` bytes; how many were taken before the line was cut, and what was answered."""
    with dial(base, timeout=5) as line:
        sent = 0
        with suppress(ConnectionError, TimeoutError):
            line.sendall(start)
            while sent < size:
                sent += line.send(piece)
        return sent, heard(line)


# --- T71 ------------------------------------------------------------------------------------------------------------

RANGES = {
    "many": "bytes=" + ",".join(["0-"] * 5000),
    "overlapping": "bytes=" + ",".join(f"{n}-{n + 1000}" for n in range(2000)),
    "reversed": "bytes=500-1",
    "beyond": "bytes=99999999999999999999-",
    "huge suffix": "bytes=-99999999999999999999",
    "no number": "bytes=a-b,--,-",
    "only commas": "bytes=" + "," * 20_000,
    "other unit": "lines=1-5",
    "spaces": "bytes=0" + " " * 20_000 + "-5",
}


@pytest.mark.case("T71")
@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
def test_ranges_cost_nothing(client: SwarmClient, ranges: str) -> None:
    (url,) = client.generate(**SMALL, overrideoutpathformat="ranged")["images"]
    for path in (f"/{url}", "/css/tokens.css"):
        whole = client.http.get(path).content
        seconds = []
        for _ in range(5):
            begun = time.perf_counter()
            answer = client.http.get(path, headers={"Range": ranges})
            seconds.append(time.perf_counter() - begun)
            assert answer.status_code in (200, 206, 400, 416), path
            assert len(answer.content) <= len(whole) + 1000
        assert min(seconds) < 0.1


# --- T72 ------------------------------------------------------------------------------------------------------------


@pytest.mark.case("T72")
def test_strangers_cannot_send_much(server: ServerProcess, alice: Member) -> None:
    size = 190 * MEBIBYTE
    long = f"Content-Length: {size}"
    start = head(
        "POST", "/API/GenerateText2Image", "Content-Type: application/json", long, "X-Forwarded-For: 203.0.113.9"
    )
    with memory_of(server, most=16):
        for beginning in (b'{"session_id": "', b'{"session_id": "' + b"0" * 40 + b'", "prompt": "'):
            sent, answer = pour(server.base, start + beginning, size=size)
            assert sent < 16 * MEBIBYTE, "more than the buffers of two kernels hold was read"
            assert status_of(answer) in (0, 401)


@pytest.mark.case("T72")
def test_strangers_messages_on_a_socket_are_short(server: ServerProcess, alice: Member) -> None:
    for payload, length in ((b"x" * 17 * 1024, -1), (b"x" * 1000, 150 * MEBIBYTE)):
        with (
            memory_of(server, most=16),
            upgrade(server.base, "/API/GenerateText2ImageWS", "X-Forwarded-For: 9.9.9.9") as line,
        ):
            line.sendall(frame(TEXT, payload, length=length))
            assert close_code(until_closed(line)) == 1009


@pytest.mark.case("T72")
def test_an_endless_head_is_cut_soon(server: ServerProcess) -> None:
    with memory_of(server, most=16):
        sent, answer = pour(server.base, b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: ", size=10 * MEBIBYTE)
    assert sent < 8 * MEBIBYTE
    assert status_of(answer) in (0, 400, 431)


@pytest.mark.case("T72")
def test_those_who_logged_in_send_as_much_as_before(server: ServerProcess, alice: Member) -> None:
    """By cookie, by session header, and with nothing but the session in the body, as programs do."""
    large = {**SMALL, "prompt": "a cat" + " " * 300_000}
    assert len(alice.generate(**large)["images"]) == 1
    with Member(server.base) as program:
        body = {**large, "images": 1, "session_id": alice.session_id}
        assert len(program.raw("GenerateText2Image", body).json()["images"]) == 1
        header = {"X-Session-ID": alice.session_id, "X-Forwarded-For": "198.51.100.77"}
        assert len(program.raw("GenerateText2Image", {**large, "images": 1}, **header).json()["images"]) == 1
        with program.socket("GenerateText2ImageWS", **FAR) as line:
            line.send(json.dumps(body))
            assert any("image" in json.loads(message) for message in line)


# --- T73 ------------------------------------------------------------------------------------------------------------


@pytest.mark.case("T73")
def test_one_address_cannot_take_everybodys_places(server: ServerProcess) -> None:
    """Half of its connections dribble a head; what is too much is refused; another address notices nothing."""
    calm = [ask(server.base) for _ in range(30)]
    with ExitStack() as held:
        lines = [held.enter_context(dial(server.base, timeout=5)) for _ in range(SOCKETS)]
        for line in lines[: MOST // 2]:
            line.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
        refused = [line for line in lines[MOST:] if heard(line).startswith(b"HTTP/1.1 503 ")]
        assert len(refused) >= SOCKETS - MOST - 5
        during = [ask(server.base) for _ in range(30)]
        assert status_of(exchange(server.base, head("GET", "/health/live", "Connection: close"))) == 503
        for line in lines[: MOST // 2]:
            line.sendall(b"y")
    assert statistics.median(during) < max(3 * statistics.median(calm), 0.1)
    wait_until(lambda: status_of(exchange(server.base, head("GET", "/health/live", "Connection: close"))) == 200)


def ask(base: str) -> float:
    """Seconds of one request from another address."""
    begun = time.perf_counter()
    host, port = place(base)
    with closing(http.client.HTTPConnection(host, port, timeout=10, source_address=(ELSEWHERE, 0))) as connection:
        connection.request("GET", "/health/live", headers={"Host": "localhost"})
        assert connection.getresponse().status == 200
    return time.perf_counter() - begun


@pytest.mark.case("T73")
def test_places_are_given_back_by_every_kind_of_end(server: ServerProcess) -> None:
    """Twice as many connections as an address may hold, one after another."""
    for number in range(2 * MOST):
        match number % 4:
            case 0:
                upgrade(server.base, "/API/GenerateText2ImageWS").close()
            case 1:
                dial(server.base).close()
            case 2:
                exchange(server.base, b"nonsense\r\n\r\n")
            case _:
                with pytest.raises(ConnectionError):
                    upgrade(server.base, "/API/GenerateText2ImageWS", "Origin: https://evil.example")
    assert status_of(exchange(server.base, head("GET", "/health/live", "Connection: close"))) == 200

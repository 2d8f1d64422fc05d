"""Clients that leave, vanish, do not read, or come and go without end. One server for all of them."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from swarm.starter import SHIPPED
from tests.conftest import Serve, World
from tests.faults.ledger import check, check_log, ledger, until, wait_until_done
from tests.support import raw
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, free_port

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "width": 64, "height": 64}
MEGABYTE = 2**20


class Served(World):
    """A world with a server on it that takes a little while for each step."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (self.data / "starter-placed.txt").write_text("\n".join(SHIPPED), encoding="utf-8")
        self.backends(StepMilliseconds=30, MaxUsages=4)
        write_model(self.models / "Stable-Diffusion" / "tiny.safetensors")
        self.log = folder / "server.log"
        self.server = ServerProcess(folder, free_port(), log=self.log)
        self.server.wait_until_up()
        self.process = psutil.Process(self.server.child.pid)
        self.client = SwarmClient(self.server.base)

    def live(self) -> int:
        return int(self.client.post("GetGlobalStatus")["status"]["live_gens"])

    def held(self) -> tuple[int, int]:
        """Descriptors and threads."""
        return self.process.num_fds(), self.process.num_threads()

    def ask(self, line: socket.socket, **params: Any) -> None:
        """Begin a request on a bare WebSocket and hear its first bytes."""
        body = {"session_id": self.client.session_id, "images": 1, "steps": 20, **SMALL, **params}
        line.sendall(raw.frame(raw.TEXT, json.dumps(body).encode()))

    def socket(self) -> socket.socket:
        return raw.upgrade(self.server.base, "/API/GenerateText2ImageWS")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    made = Served(tmp_path_factory.mktemp("served"))
    try:
        yield made
        check(made, made.server.base, swept=False)
    finally:
        made.client.http.close()
        assert made.server.stop() == 0
    check_log(made.log)


def reset(line: socket.socket) -> None:
    """Close with RST instead of FIN."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    line.close()


@pytest.mark.case("F16")
def test_who_leaves_in_the_middle_finds_the_picture_in_the_history(served: Served) -> None:
    before = ledger(served).get("stored", 0)
    assert served.live() == 0  # this opens the client's own connection
    lines = [served.socket() for _ in range(3)]
    base = served.held()[0]
    for number, line in enumerate(lines):
        served.ask(line, seed=number)
    for line in lines:
        assert line.recv(65536)
    until(lambda: served.live() == 3)
    lines[0].close()
    reset(lines[1])  # and lines[2] stays open, while nobody is there who would read it
    until(lambda: ledger(served).get("stored", 0) == before + 3)
    assert len(served.client.post("ListImages", path="", depth=5)["files"]) == before + 3
    until(lambda: served.live() == 0)
    reset(lines[2])
    until(lambda: served.held()[0] <= base - 3)


@pytest.mark.case("F17")
def test_who_does_not_read_holds_up_nobody_and_loses_no_result(served: Served) -> None:
    before, images = ledger(served).get("stored", 0), 60
    resident = served.process.memory_info().rss
    line = served.socket()
    served.ask(line, images=images, steps=15, width=256, height=256, prompt="x" * 100_000)
    until(lambda: served.live() > 0)
    for _ in range(5):
        began = time.monotonic()
        assert "images" in served.client.generate(**SMALL, steps=1)
        assert time.monotonic() - began < 5
    until(lambda: ledger(served).get("stored", 0) == before + images + 5, 60)
    assert served.client.post("GetGlobalStatus")["status"]["live_gens"] == 0
    assert served.process.memory_info().rss - resident < 64 * MEGABYTE
    line.settimeout(60)  # TCP itself waits longer and longer between its own attempts
    heard = raw.heard(line, most=64 * MEGABYTE)
    line.close()
    assert heard.count(b'"image":') == images, "a result was lost"
    assert heard.count(b'"gen_progress":') < images * 25, "nothing was left out for one who lags"


def come_and_go(served: Served) -> None:
    """Every way to leave early, many times."""
    for number in range(25):
        with suppress(ConnectionError):
            raw.dial(served.server.base).close()
            reset(raw.dial(served.server.base))
            with raw.dial(served.server.base) as line:
                line.sendall(b"POST /API/GetNewSession HTTP/1.1\r\nHost: x\r\nContent-Le")
            with raw.dial(served.server.base) as line:
                line.sendall(
                    raw.head("POST", "/API/ListImages", "Content-Type: application/json", "Content-Length: 99")
                )
            reset(served.socket())
            line = served.socket()
            served.ask(line, steps=1)
            if number % 2:
                line.recv(1000)
            reset(line)


@pytest.mark.case("F18")
def test_who_comes_and_goes_leaves_nothing_behind(served: Served) -> None:
    def round_of_visits() -> tuple[int, int]:
        visitors = [threading.Thread(target=come_and_go, args=(served,)) for _ in range(2)]
        for visitor in visitors:
            visitor.start()
        for visitor in visitors:
            visitor.join()
        wait_until_done(served)
        until(lambda: served.live() == 0)
        time.sleep(1.0)  # closed sockets are noticed with the next turns of the loop
        return served.held()[0], served.process.memory_info().rss

    round_of_visits()
    base = round_of_visits()
    now = round_of_visits()
    assert now[0] <= base[0] + 1, "descriptors were left open"
    assert now[1] <= base[1] * 1.02 + MEGABYTE, "memory was left behind"
    assert served.client.post("GetGlobalStatus")["status"] == {
        "waiting_gens": 0,
        "loading_models": 0,
        "waiting_backends": 0,
        "live_gens": 0,
    }


@pytest.mark.case("F17")
def test_who_reads_nothing_at_all_is_closed_with_1013(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swarm.api.stream.SEND_SECONDS", 1.0)
    client = serve()
    line = raw.upgrade(client.base, "/API/GenerateText2ImageWS")
    body = {"session_id": client.session_id, "images": 60, "steps": 4, **SMALL, "prompt": "x" * 200_000}
    line.sendall(raw.frame(raw.TEXT, json.dumps(body).encode()))
    until(lambda: client.post("GetGlobalStatus")["status"]["waiting_gens"] == 0, 60)
    time.sleep(2.0)  # it is given up a second after there is no more room
    line.settimeout(10)
    heard = raw.heard(line, most=256 * MEGABYTE)
    line.close()
    assert raw.close_code(heard) == 1013
    assert len(client.post("ListImages", path="", depth=5)["files"]) == 60

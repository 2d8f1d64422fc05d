"""SIGTERM with work in hand: what is being made is finished, the rest waits for the next start, nothing is lost."""

from __future__ import annotations

import json
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import World
from tests.faults.ledger import check, ledger
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

RUNNING, ALL = 5, 55


def ask_for_all(client: SwarmClient, asked: threading.Event) -> None:
    body = {"images": ALL, "prompt": "x", "model": "tiny", "seed": 1, "steps": 10, "width": 64, "height": 64}
    with suppress(ConnectionClosed, OSError), client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, **body}))
        asked.set()
        for _ in socket:
            pass


def wait_for(seconds: float, done: object) -> None:
    assert callable(done)
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def started(world: World, tmp_path: Path, port: int) -> ServerProcess:
    server = ServerProcess(world.folder, port, log=tmp_path / "server.log")
    server.wait_until_up()
    return server


def busy(server: ServerProcess, client: SwarmClient) -> threading.Thread:
    """Five pictures are being made and fifty wait."""
    asked = threading.Event()
    thread = threading.Thread(target=ask_for_all, args=(client, asked), daemon=True)
    thread.start()
    asked.wait(10)
    wait_for(10, lambda: client.post("GetCurrentStatus")["status"]["live_gens"] == RUNNING)
    return thread


@pytest.mark.case("F20")
def test_what_is_being_made_is_finished_and_the_rest_is_made_after_the_next_start(world: World, tmp_path: Path) -> None:
    world.backends(StepMilliseconds=120, MaxUsages=RUNNING)
    port = free_port()
    server = started(world, tmp_path, port)
    with SwarmClient(server.base) as client:
        thread = busy(server, client)
        server.child.send_signal(signal.SIGTERM)
        wait_for(5, lambda: client.http.get("/health/ready").status_code == 503)
        refused = client.generate(model="tiny", prompt="late")
        assert refused == {"error": "The server is about to stop. Try again in a moment."}
    assert server.child.wait(30) == server.stop() == 0
    thread.join(10)
    after = ledger(world)
    assert after == {"stored": RUNNING, "pending": ALL - RUNNING}

    world.backends(StepMilliseconds=0, MaxUsages=RUNNING)
    server = started(world, tmp_path, port)
    try:
        wait_for(30, lambda: ledger(world) == {"stored": ALL})
        assert len(list(world.outputs.rglob("*.png"))) == ALL
        check(world, server.base)
    finally:
        assert server.stop() == 0


@pytest.mark.case("F20")
def test_a_second_signal_stops_at_once(world: World, tmp_path: Path) -> None:
    world.backends(StepMilliseconds=5000, MaxUsages=RUNNING)
    server = started(world, tmp_path, free_port())
    with SwarmClient(server.base) as client:
        busy(server, client)
        server.child.send_signal(signal.SIGTERM)
        wait_for(5, lambda: client.http.get("/health/ready").status_code == 503)
        began = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - began < 15
    assert ledger(world) == {"pending": ALL}

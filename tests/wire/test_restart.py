"""What a restart keeps: sessions, promises, history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import World
from tests.faults.ledger import wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port, options_for, server_in_thread

SMALL = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}


def test_a_session_survives_a_restart(world: World) -> None:
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        session_id = client.session_id
        client.generate(**SMALL)
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        answer = client.raw("GetCurrentStatus", {"session_id": session_id})
        assert answer.status_code == 200
        assert "status" in answer.json()
        assert client.raw("GetCurrentStatus", {"session_id": "f" * 40}).status_code == 401
        assert len(client.post("ListImages", path="", depth=5)["files"]) == 1


def test_without_persistence_a_session_ends_with_the_server(world: World) -> None:
    with server_in_thread(options_for(world.folder, persist=False)) as base, SwarmClient(base) as client:
        session_id = client.session_id
    with server_in_thread(options_for(world.folder, persist=False)) as base, SwarmClient(base) as client:
        answer = client.raw("GetCurrentStatus", {"session_id": session_id})
        assert (answer.status_code, answer.json()["error_id"]) == (401, "invalid_session_id")


def test_a_kind_stop_keeps_the_rest_for_the_next_start(world: World, tmp_path: Path) -> None:
    world.backends(StepMilliseconds=60, MaxUsages=1)
    port = free_port()
    server = ServerProcess(world.folder, port, log=tmp_path / "server.log")
    server.wait_until_up()
    with SwarmClient(server.base) as client, client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "images": 6, **SMALL, "steps": 5}))
        while "image" not in json.loads(socket.recv(timeout=20)):
            pass
        assert server.stop() == 0
    world.backends(StepMilliseconds=0)
    server = ServerProcess(world.folder, port, log=tmp_path / "server.log")
    server.wait_until_up()
    assert wait_until_done(world) == {"stored": 6}
    assert server.stop() == 0
    assert len(list(world.outputs.rglob("*.png"))) == 6


@pytest.mark.case("F15")
def test_a_second_server_on_the_same_folder_is_refused(world: World, tmp_path: Path) -> None:
    first = ServerProcess(world.folder, free_port(), log=tmp_path / "first.log")
    first.wait_until_up()
    second = ServerProcess(world.folder, free_port(), log=tmp_path / "second.log")
    with pytest.raises(RuntimeError, match="ended with"):
        second.wait_until_up()
    second.stop()
    said = (tmp_path / "second.log").read_text(encoding="utf-8")
    assert "already uses the data folder" in said
    assert "Traceback" not in said
    assert first.stop() == 0

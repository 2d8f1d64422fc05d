"""The status object, its counters, and interruption, as watchers of a session see them (swarm-core 5.10, t2i 4)."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 10, "seed": 5, "width": 64, "height": 64}
IDLE = {"waiting_gens": 0, "loading_models": 0, "waiting_backends": 0, "live_gens": 0}


def counters(client: SwarmClient, session_id: str) -> dict[str, int]:
    found: dict[str, int] = client.raw("GetCurrentStatus", {"session_id": session_id}).json()["status"]
    return found


@pytest.fixture
def slow(world: World, serve: Serve) -> SwarmClient:
    """A server whose backend holds one job and takes 60 ms a step."""
    world.backends(StepMilliseconds=60, MaxUsages=1)
    return serve()


def live(client: SwarmClient) -> dict[str, int]:
    """The session's counters once a picture is in the making."""
    end = time.monotonic() + 20
    with SwarmClient(client.base) as watcher:
        while time.monotonic() < end:
            found = counters(watcher, client.session_id)
            if found["live_gens"]:
                return found
            time.sleep(0.01)
    raise TimeoutError("nothing is live")


def test_the_status_object(client: SwarmClient) -> None:
    status = client.post("GetCurrentStatus")
    assert list(status) == ["status", "backend_status", "supported_features"]
    assert list(status["status"].items()) == list(IDLE.items())
    assert list(status["backend_status"]) == ["status", "class", "message", "any_loading"]
    assert len(set(status["supported_features"])) == len(status["supported_features"])
    assert "comfyui" in status["supported_features"]
    assert next(iter(client.generate_ws(**{**SMALL, "steps": 1}))).keys() == status.keys()


def test_counters_are_those_of_the_session_and_count_jobs(slow: SwarmClient) -> None:
    with slow.socket("GenerateText2ImageWS") as socket, SwarmClient(slow.base) as other:
        body = {"session_id": slow.session_id, "images": 3, "batchsize": 2, **SMALL}
        socket.send(json.dumps(body))
        found = live(slow)
        assert (found["waiting_gens"], found["live_gens"]) == (3, 1)
        assert counters(other, other.session_id) == IDLE
        assert slow.post("InterruptAll", other_sessions="false") == {"success": True}
        messages = [json.loads(text) for text in socket]
    assert messages[-1]["status"] == IDLE
    assert counters(slow, slow.session_id) == IDLE


def test_the_batch_size_does_not_spoil_the_count_of_refused_requests(client: SwarmClient) -> None:
    with client.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "images": 2**31 - 1, **SMALL, "batchsize": 1e300}))
        first = json.loads(socket.recv(timeout=20))
        assert first["status"]["waiting_gens"] == 2**31 - 1
        assert "error" in json.loads(socket.recv(timeout=20))
        socket.send(json.dumps({"images": 1, **SMALL, "steps": 1}))
        messages = [json.loads(text) for text in socket]
    (image,) = [message for message in messages if "image" in message]
    assert int(image["batch_index"]) > 0
    assert not [message for message in messages if "error" in message]


def test_after_an_interrupt_the_same_socket_takes_new_requests(slow: SwarmClient) -> None:
    with slow.socket("GenerateText2ImageWS") as socket:
        socket.send(json.dumps({"session_id": slow.session_id, "images": 2, **SMALL}))
        live(slow)
        assert slow.post("InterruptAll") == {"success": True}
        socket.send(json.dumps({"images": 1, **SMALL, "steps": 1, "seed": 77}))
        messages = [json.loads(text) for text in socket]
    assert {"error": "Generation session interrupted."} in messages
    (image,) = [message for message in messages if "image" in message]
    assert (image["batch_index"], image["request_id"]) == ("2", "1002")
    assert json.loads(image["metadata"])["sui_image_params"]["seed"] == 77
    assert [message for message in messages if "discard_indices" in message] == [{"discard_indices": []}] * 2
    assert messages[-1]["status"] == IDLE


def test_an_interrupted_post_is_answered_with_the_known_sentence(slow: SwarmClient) -> None:
    heard: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: heard.append(slow.generate(**{**SMALL, "images": 3})))
    thread.start()
    live(slow)
    with SwarmClient(slow.base) as other:
        other.post("InterruptAll")
        time.sleep(0.1)
        assert thread.is_alive()
        other.post("InterruptAll", other_sessions=True)
    thread.join(20)
    assert heard == [{"error": "Generation session interrupted."}]
    assert slow.post("ListImages", path="", depth=9)["files"] == []


def test_an_idle_interrupt_is_fine_and_harms_nothing_later(client: SwarmClient) -> None:
    assert client.post("InterruptAll") == {"success": True}
    assert client.post("InterruptAll", other_sessions=True) == {"success": True}
    assert len(client.generate(**{**SMALL, "steps": 1})["images"]) == 1


def test_the_backends_word_goes_through_its_stages(world: World, serve: Serve) -> None:
    world.backends(StartMilliseconds=1500)
    client = serve()
    seen: list[tuple[str, str, bool]] = []
    end = time.monotonic() + 20
    while time.monotonic() < end and (not seen or seen[-1][0] != "running"):
        word = client.post("GetCurrentStatus")["backend_status"]
        seen.append((word["status"], word["class"], word["any_loading"]))
        assert bool(word["message"]) == (word["status"] != "running")
        time.sleep(0.05)
    assert list(dict.fromkeys(seen)) == [("loading", "soft", True), ("running", "", False)]
    client.post("DeleteBackend", backend_id=0)
    gone = client.post("GetCurrentStatus")
    assert (gone["backend_status"]["status"], gone["backend_status"]["class"]) == ("empty", "error")
    assert gone["supported_features"] == []
    assert client.generate(**SMALL) == {"error": "No backends available!"}


def test_a_backend_that_cannot_start_is_errored(world: World, serve: Serve) -> None:
    world.backends(FailStart="No power.")
    client = serve()
    end = time.monotonic() + 30
    while time.monotonic() < end:
        word = client.post("GetCurrentStatus")["backend_status"]
        if word["status"] == "errored":
            break
        time.sleep(0.1)
    assert (word["status"], word["class"], word["any_loading"]) == ("errored", "error", False)
    assert client.post("ListBackends")["0"]["status"] == "errored"

"""Another of our servers as a backend: found, used, cut off, and never asked to ask us."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.support.client import SwarmClient
from tests.support.remote import a_server, backend_file, children, cut_wire, until_children, wait_for
from tests.support.server import fake_backends, free_port


@pytest.fixture
def far(tmp_path: Path) -> Iterator[SwarmClient]:
    with a_server(tmp_path / "far", fake_backends(StepMilliseconds=2), "shared", "theirs") as client:
        yield client


@pytest.fixture
def near(tmp_path: Path, far: SwarmClient) -> Iterator[SwarmClient]:
    with a_server(tmp_path / "near", backend_file("swarmswarmbackend", Address=far.base)) as client:
        until_children(client)
        yield client


def test_each_backend_of_the_remote_becomes_one_of_ours(near: SwarmClient, far: SwarmClient) -> None:
    plain = near.post("ListBackends")
    assert [one["type"] for one in plain.values()] == ["swarmswarmbackend"]
    assert plain["0"]["can_load_models"] is False
    [child] = children(near)
    [theirs] = far.post("ListBackends").values()
    assert child["title"].startswith("[Remote from 0: ")
    assert child["features"] == theirs["features"] and child["max_usages"] == theirs["max_usages"]


def test_its_models_are_listed_and_are_not_local(near: SwarmClient) -> None:
    listed = near.post("ListModels", path="", depth=9)["files"]
    assert [(one["name"], one["local"]) for one in listed] == [
        ("shared.safetensors", False),
        ("theirs.safetensors", False),
    ]
    assert near.post("ListModels", path="", depth=9, allowRemote=False)["files"] == []
    assert "error" in near.post("DeleteModel", modelName="theirs.safetensors")


def test_a_picture_is_made_there_and_kept_here(near: SwarmClient, far: SwarmClient) -> None:
    messages = near.generate_ws(prompt="a cat", model="theirs", steps=3, width=64, height=64, seed=5)
    images = [one for one in messages if "image" in one]
    assert len(images) == 1 and images[0]["image"].startswith("View/"), messages
    progress = [one["gen_progress"] for one in messages if "gen_progress" in one]
    assert any("preview" in one for one in progress) and progress[-1]["overall_percent"] == 1.0
    assert far.post("ListImages", path="", depth=3)["files"] == []
    direct = far.generate(prompt="a cat", model="theirs", steps=3, width=64, height=64, seed=5, donotsave=True)
    assert direct["images"], direct


def test_several_pictures_keep_their_places(near: SwarmClient) -> None:
    messages = near.generate_ws(prompt="a cat", model="theirs", steps=1, width=64, height=64, images=2, batchsize=2)
    assert sorted(one["batch_index"] for one in messages if "image" in one) == ["0", "1", "2", "3"]


def test_the_next_job_does_not_wait_for_the_remote_to_close_its_socket(tmp_path: Path) -> None:
    """It stays open for two seconds, in case that another request comes."""
    with (
        a_server(tmp_path / "far", fake_backends(StepMilliseconds=1, MaxUsages=1), "theirs") as far,
        a_server(tmp_path / "near", backend_file("swarmswarmbackend", Address=far.base)) as near,
    ):
        until_children(near)
        near.generate(prompt="x", model="theirs", steps=1, width=64, height=64)
        began = time.monotonic()
        made = near.generate(prompt="x", model="theirs", steps=1, width=64, height=64, images=4)
        assert len(made["images"]) == 4 and time.monotonic() - began < 2.0, made


def test_what_the_remote_refuses_is_said(near: SwarmClient) -> None:
    answer = near.generate(prompt="fake-fail", model="theirs", steps=1, width=64, height=64)
    assert answer["error"] == "Remote swarm gave error: The fake backend was asked to fail."


def test_interrupting_reaches_the_remote(near: SwarmClient, far: SwarmClient) -> None:
    with near.socket("GenerateText2ImageWS") as open_socket:
        body = {"session_id": near.session_id, "images": 1, "prompt": "fake-hang", "model": "theirs", "steps": 1}
        open_socket.send(json.dumps(body))
        wait_for(lambda: live(far) == 1)
        near.post("InterruptAll")
        wait_for(lambda: live(far) == 0)


def live(client: SwarmClient) -> int:
    """How many jobs the whole server has in work."""
    return int(client.post("GetGlobalStatus")["status"]["live_gens"])


def port_of(client: SwarmClient) -> int:
    return urlsplit(client.base).port or 0


def test_a_server_is_not_its_own_backend(tmp_path: Path) -> None:
    port = free_port()
    backends = backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{port}")
    with a_server(tmp_path / "own", backends, port=port) as client:
        said = "which cannot be its own backend."
        wait_for(lambda: client.post("ListBackends")["0"].get("message", "").endswith(said))


def test_a_ring_of_servers_brings_nothing_back(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    files = [
        backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{ports[1]}", AllowIdle=True),
        fake_backends(StepMilliseconds=0)
        + "\n"
        + backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{ports[0]}", AllowIdle=True).replace(
            "0:", "1:", 1
        ),
    ]
    with (
        a_server(tmp_path / "b", files[1], "theirs", port=ports[1]) as second,
        a_server(tmp_path / "a", files[0], port=ports[0]) as first,
    ):
        until_children(first)
        wait_for(lambda: second.post("ListBackends")["1"]["status"] == "running", 20)
        assert first.generate(prompt="a cat", model="theirs", steps=1, width=64, height=64).get("images")
        wait_for(lambda: children(second) == [] and len(children(first)) <= 2)
        names = {one["title"].count("[Remote from") for one in children(first)}
        assert names <= {1}


def test_a_chain_of_three_makes_the_picture_at_its_end(tmp_path: Path, near: SwarmClient) -> None:
    with a_server(tmp_path / "nearest", backend_file("swarmswarmbackend", Address=near.base)) as client:
        until_children(client)
        answer = client.generate(prompt="a cat", model="theirs", steps=2, width=64, height=64)
        assert len(answer["images"]) == 1


@pytest.mark.case("F22")
def test_every_job_ends_while_the_wire_is_cut_at_random(tmp_path: Path, far: SwarmClient) -> None:
    with cut_wire(port_of(far), Random(5)) as wire:
        backends = backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{wire.port}")
        with a_server(tmp_path / "near", backends) as client:
            until_children(client)
            wire.chance = 0.03
            frames = client.generate_ws(prompt="a cat", model="theirs", steps=4, width=64, height=64, images=8)
            wire.chance = 0.0
            assert wire.cuts > 0
            stored = [one for one in frames if "image" in one]
            failed = [one["error"] for one in frames if "error" in one]
            assert len(stored) == 8 or (failed and all(len(sentence) > 10 for sentence in failed)), frames[-5:]
            assert len({one["batch_index"] for one in stored}) == len(stored)
            rows = client.post("GetGlobalStatus")["status"]
            assert rows["live_gens"] == rows["waiting_gens"] == 0


@pytest.mark.case("F21")
def test_a_job_waits_for_a_remote_that_comes_back(tmp_path: Path, far: SwarmClient) -> None:
    with cut_wire(port_of(far), Random(1)) as wire:
        backends = backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{wire.port}")
        with a_server(tmp_path / "near", backends) as client, client.socket("GenerateText2ImageWS") as open_socket:
            until_children(client)
            wire.is_down = True
            wire.cut()
            body = {"session_id": client.session_id, "images": 1, "prompt": "a cat", "model": "theirs", "steps": 1}
            open_socket.send(json.dumps({**body, "width": 64, "height": 64}))
            wait_for(lambda: client.post("ListBackends")["0"]["status"] in ("waiting", "loading"))
            wire.is_down = False
            frames = [json.loads(message) for message in open_socket]
            assert any("image" in frame for frame in frames), frames

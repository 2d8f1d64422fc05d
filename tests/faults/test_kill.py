"""kill -9 of the server at random moments of a run: nothing that was accepted is lost, truncated or made up."""

from __future__ import annotations

import io
import json
import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed

from tests.conftest import World
from tests.faults.ledger import check, check_log, ledger, pictures, wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

MOMENTS = int(os.environ.get("SWARM_KILLS", "6"))
IMAGES = 10


class Watcher(threading.Thread):
    """A client that asks for ten pictures and writes down every URL it was told, until the line breaks."""

    def __init__(self, base: str) -> None:
        super().__init__(daemon=True)
        self.client = SwarmClient(base)
        self.session_id = self.client.session_id
        self.announced: list[str] = []
        self.asked = threading.Event()

    def run(self) -> None:
        body = {"session_id": self.session_id, "images": IMAGES, "prompt": "x", "model": "tiny", "seed": 1, "steps": 3}
        with self.client, suppress(ConnectionClosed, OSError), self.client.socket("GenerateText2ImageWS") as socket:
            socket.send(json.dumps(body))
            self.asked.set()
            for text in socket:
                message = json.loads(text)
                if "image" in message:
                    self.announced.append(message["image"])


def metadata(path: Path) -> dict[str, Any]:
    with Image.open(io.BytesIO(path.read_bytes())) as picture:
        picture.load()
        found: dict[str, Any] = json.loads(picture.info["parameters"])
        return found


@pytest.mark.slow
@pytest.mark.case("F1")
@pytest.mark.case("F2")
def test_a_killed_server_keeps_its_promises(world: World, tmp_path: Path) -> None:
    rng = random.Random(20)
    world.backends(StepMilliseconds=8, MaxUsages=2)
    port = free_port()
    for moment in range(MOMENTS):
        before = set(pictures(world))
        server = ServerProcess(world.folder, port, log=tmp_path / "server.log")
        server.wait_until_up()
        watcher = Watcher(server.base)
        watcher.start()
        watcher.asked.wait(10)
        time.sleep(rng.uniform(0.0, 0.35))
        server.kill()
        watcher.join(10)
        stored_before_restart = ledger(world)

        server = ServerProcess(world.folder, port, log=tmp_path / "server.log")
        server.wait_until_up()
        try:
            states = wait_until_done(world)
            accepted = sum(stored_before_restart.values())
            assert sum(states.values()) == accepted, f"moment {moment}: rows appeared or vanished"
            assert set(states) <= {"stored"}, f"moment {moment}: {states}"
            new = [path for path in pictures(world) if path not in before]
            assert not [path.name for path in new if path.suffix != ".png"], "leftovers of half-written files"
            seeds = sorted({metadata(path)["sui_image_params"]["seed"] for path in new})
            assert seeds in ([], list(range(1, IMAGES + 1))), f"moment {moment}: seeds {seeds}"
            for url in watcher.announced:
                answer = httpx2.get(f"{server.base}/{url}", trust_env=False)
                assert answer.status_code == 200, f"moment {moment}: {url} was announced and is gone"
            with SwarmClient(server.base) as client:
                listed = client.post("ListImages", path="", depth=5)["files"]
                assert len(listed) == len(pictures(world))
            check(world, server.base)
        finally:
            assert server.stop() == 0
    check_log(tmp_path / "server.log")

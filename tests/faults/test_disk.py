"""A disk that takes no more: every door answers in a sentence, nothing is left half, and it goes on when space is back.

The limit on file sizes of the server process stands for the full disk: it needs no rights and can be lifted again.
"""

from __future__ import annotations

import base64
import io
import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import World
from tests.faults.ledger import check, check_log, ledger, pictures, wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

if sys.platform != "linux":
    pytest.skip("limits of another process can be set on Linux only", allow_module_level=True)

import resource

SMALL = {"model": "tiny", "prompt": "a cat", "steps": 2, "width": 64, "height": 64}
NOT_SAVED = "Server failed to save an image."


@contextmanager
def files_limited_to(server: ServerProcess, size: int) -> Iterator[None]:
    """No file of the server may grow beyond `size` bytes within the block."""
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(server.child.pid, resource.RLIMIT_FSIZE, (size, unlimited))
    try:
        yield
    finally:
        resource.prlimit(server.child.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(world.folder, free_port(), log=tmp_path / "server.log")
    made.wait_until_up()
    try:
        yield made
        assert made.child.poll() is None, "the server did not survive"
        check(world, made.base, swept=False)
        assert made.stop() == 0
    finally:
        if made.child.poll() is None:
            made.kill()
    check_log(tmp_path / "server.log")


def large_picture() -> str:
    """A data URL of about 6 MB that no compression makes smaller."""
    image = Image.frombytes("RGB", (1448, 1448), random.Random(1).randbytes(1448 * 1448 * 3))
    data = io.BytesIO()
    image.save(data, "PNG", compress_level=0)
    return "data:image/png;base64," + base64.b64encode(data.getvalue()).decode()


def half_a_database(world: World) -> int:
    """A size that the databases and their logs do not need, and the large picture does."""
    sizes = [path.stat().st_size for path in world.data.glob("*.db*")]
    assert max(sizes) < 3_000_000
    return 4_500_000


@pytest.mark.case("F8")
def test_a_picture_that_cannot_be_saved_is_a_sentence(world: World, server: ServerProcess) -> None:
    with SwarmClient(server.base) as client:
        assert "images" in client.generate(**SMALL)
        before = pictures(world)
        with files_limited_to(server, half_a_database(world)):
            answer = client.post("AddImageToHistory", image=large_picture(), **SMALL)
            assert answer["error"] == NOT_SAVED
            assert pictures(world) == before, "something half was left"
            assert "images" in client.generate(**SMALL), "small pictures still fit"
        assert "error" not in client.post("AddImageToHistory", image=large_picture(), **SMALL)


@pytest.mark.case("F8")
@pytest.mark.case("F9")
def test_a_disk_that_is_full_while_a_job_runs(world: World, tmp_path: Path) -> None:
    """The promise was taken, then nothing can be written: neither the picture nor the row. The row follows later."""
    world.backends(StepMilliseconds=150)
    server = ServerProcess(world.folder, free_port(), log=tmp_path / "server.log")
    server.wait_until_up()
    try:
        with SwarmClient(server.base) as client:
            messages = client.stream("GenerateText2ImageWS", images=2, **{**SMALL, "steps": 8})
            heard = []
            for message in messages:
                heard.append(message)
                if "gen_progress" in message:
                    break
            with files_limited_to(server, 64):
                heard.extend(messages)
                errors = [message["error"] for message in heard if "error" in message]
                assert NOT_SAVED in errors
                offered = [message["image"] for message in heard if "image" in message]
                assert offered and all(image.startswith("data:image/png;base64,") for image in offered)
                assert pictures(world) == []
                assert "status" in client.post("GetCurrentStatus")
                refused = client.generate(**SMALL)
                assert "disk is full" in refused["error"]
                listed = client.post("ListImages", path="", depth=3)
                assert listed["files"] == []
            assert wait_until_done(world) == {"failed": 2}
            assert len(client.generate(**SMALL)["images"]) == 1
            assert len(pictures(world)) == 1
    finally:
        assert server.stop() == 0
    check_log(tmp_path / "server.log")


@pytest.mark.case("F9")
def test_a_disk_that_is_full_when_a_job_comes(world: World, server: ServerProcess) -> None:
    with SwarmClient(server.base) as client:
        assert len(client.generate(**SMALL)["images"]) == 1
        before = ledger(world)
        with files_limited_to(server, 64):
            for answer in (client.generate(**SMALL), client.generate(**SMALL, initimage=large_picture())):
                assert "disk is full" in answer["error"]
                assert str(world.folder) not in answer["error"]
            told = client.generate_ws(**SMALL)
            assert [message for message in told if "disk is full" in message.get("error", "")]
            newcomer = client.raw("GetNewSession", {}).json()
            assert newcomer["error_id"] == "disk_full"
        assert ledger(world) == before
        assert len(client.generate(**SMALL)["images"]) == 1


@pytest.mark.case("F10")
def test_an_output_folder_that_cannot_be_written(world: World, server: ServerProcess) -> None:
    """A file stands where the folder should be; this stops even root, whom permissions would not."""
    with SwarmClient(server.base) as client:
        blocked = world.outputs / "local"
        world.outputs.mkdir(exist_ok=True)
        blocked.write_text("in the way", encoding="utf-8")
        answer = client.generate(**SMALL)
        assert answer["error"] == NOT_SAVED
        assert blocked.read_text(encoding="utf-8") == "in the way"
        said = client.post("GetCurrentStatus")["notices"][-1]
        assert said.startswith("Pictures cannot be saved: ")
        assert client.http.get("/health/ready").json() == {"status": "ready", "degraded": said}
        assert wait_until_done(world) == {"failed": 1}
        assert client.post("ListImages", path="", depth=3)["files"] == []
        blocked.unlink()
        assert len(client.generate(**SMALL)["images"]) == 1
        assert wait_until_done(world) == {"failed": 1, "stored": 1}
        assert client.http.get("/health/ready").json() == {"status": "ready"}
        assert "notices" not in client.post("GetCurrentStatus")

"""A process that may open few files: newcomers are refused or wait, and all is well when some have gone."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from tests.conftest import World
from tests.faults.ledger import check, check_alive, until
from tests.support import raw
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

if sys.platform != "linux":
    pytest.skip("limits of another process can be set on Linux only", allow_module_level=True)

import resource

SMALL = {"model": "tiny", "prompt": "a cat", "steps": 1, "width": 64, "height": 64}
MOST = 64
CROWD = MOST // 2


def first_free(pid: int) -> int:
    """The number that the next file of a process would get: as a limit it lets nothing be opened."""
    held = {int(path.name) for path in Path(f"/proc/{pid}/fd").iterdir()}
    return next(number for number in range(MOST) if number not in held)


@pytest.fixture
def server(world: World, tmp_path: Path) -> Iterator[ServerProcess]:
    made = ServerProcess(world.folder, free_port(), log=tmp_path / "server.log")
    resource.prlimit(made.child.pid, resource.RLIMIT_NOFILE, (MOST, MOST))
    made.wait_until_up()
    try:
        yield made
    finally:
        assert made.stop() == 0


@pytest.mark.case("F27")
def test_newcomers_are_refused_while_there_are_too_many(world: World, server: ServerProcess) -> None:
    with ExitStack() as crowd:
        for _ in range(CROWD):
            crowd.enter_context(raw.dial(server.base))
        until(lambda: psutil.Process(server.child.pid).num_fds() > CROWD)
        answer = raw.exchange(server.base, raw.head("GET", "/health/live"), timeout=5)
        assert raw.status_of(answer) == 503 and b'"error_id":"crowded"' in answer
    check_alive(server.base)
    with SwarmClient(server.base) as client:
        assert "images" in client.generate(**SMALL)
    check(world, server.base, swept=False)


@pytest.mark.case("F27")
def test_without_any_descriptor_left_it_waits_and_goes_on(world: World, server: ServerProcess, tmp_path: Path) -> None:
    process = psutil.Process(server.child.pid)
    with SwarmClient(server.base) as client:
        assert "images" in client.generate(**SMALL)
        resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE, (first_free(process.pid), MOST))
        began = time.monotonic()
        answer = client.generate(**SMALL)  # on the connection that is there; nothing can be opened
        assert time.monotonic() - began < 30
        assert answer.get("error", "").endswith("."), answer
        assert client.http.get("/health/live").status_code == 200
        with ExitStack() as crowd:
            for _ in range(10):
                crowd.enter_context(raw.dial(server.base))
            resource.prlimit(server.child.pid, resource.RLIMIT_NOFILE, (MOST, MOST))
            check_alive(server.base)
        assert "images" in client.generate(**SMALL)
    check(world, server.base, swept=False)
    assert "Too many open files" in (tmp_path / "server.log").read_text(encoding="utf-8")

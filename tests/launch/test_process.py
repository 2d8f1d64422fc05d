"""What a server is as a process: few threads, and one heap for all of them, whatever is asked of it at once."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from swarm.app import ENCODER_THREADS
from swarm.base.tasks import WORKERS
from swarm.generation.ledger import WRITERS
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

HEAP = 64 * 2**20
"""glibc puts each further heap at a multiple of this, with as much room."""
BESIDE = 4
"""The main thread, the loop's watch, and what libraries may start."""


def heaps(process: int) -> int:
    """How many heaps beside the first the threads of a process have."""
    spans = [
        (int(start, 16), int(end, 16))
        for start, end in re.findall(
            r"^([0-9a-f]+)-([0-9a-f]+) (?:rw|--)-p 0+ 00:00 0 *$", Path(f"/proc/{process}/maps").read_text(), re.M
        )
    ]
    ends = dict(spans)
    return sum(1 for start, end in spans if start % HEAP == 0 and ends.get(end) == start + HEAP)


@pytest.mark.skipif(sys.platform != "linux", reason="Memory is looked at in /proc.")
def test_many_requests_at_once_take_few_threads_and_one_heap(world: World, tmp_path: Path) -> None:
    server = ServerProcess(world.folder, free_port(), log=tmp_path / "server.log")
    try:
        server.wait_until_up()

        def busy(number: int) -> None:
            with SwarmClient(server.base) as client:
                for again in range(5):
                    preset = {"title": f"{number} {again}", "description": "", "param_map": {"steps": "7"}}
                    assert client.post("AddNewPreset", **preset) == {"success": True}
                    client.post("ListImages", path="", depth=3)

        with ThreadPoolExecutor(60) as pool:
            list(pool.map(busy, range(60)))
        assert psutil.Process(server.child.pid).num_threads() <= WORKERS + WRITERS + ENCODER_THREADS + BESIDE
        assert heaps(server.child.pid) == 0
    finally:
        server.stop()

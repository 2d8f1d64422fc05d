"""A job that takes its backend down again and again: it is given up after three times, and the backend comes back."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.conftest import World
from tests.faults.ledger import check, check_log, ledger, until
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

SMALL = {"model": "tiny", "steps": 1, "width": 64, "height": 64}


@pytest.mark.case("F3")
def test_a_poisonous_job_fails_alone_and_the_backend_waits_longer_each_time(world: World, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    server = ServerProcess(world.folder, free_port(), log=log)
    server.wait_until_up()
    try:
        with SwarmClient(server.base) as client:
            assert "images" in client.generate(prompt="a cat", **SMALL)
            began = time.monotonic()
            answer = client.generate(prompt="fake-crash", **SMALL)
            assert "poisonous" in answer["error"]
            assert time.monotonic() - began >= 2.0 + 4.0, "it was started again without a pause"
            assert ledger(world) == {"stored": 1, "failed": 1}
            assert "images" in client.generate(prompt="a cat", **SMALL), "the next job had to pay for it"
            until(lambda: client.http.get("/health/ready").status_code == 200)
            check(world, server.base, swept=False)
    finally:
        assert server.stop() == 0
    text = log.read_text(encoding="utf-8")
    assert text.count("is gone: The fake backend was asked to crash.") == 3
    check_log(log)

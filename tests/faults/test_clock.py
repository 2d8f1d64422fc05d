"""A clock that jumps by years while the server runs: nobody is logged out, nothing fires, no file gets a name twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import World
from tests.faults.ledger import check, check_log, pictures, wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

SMALL = {"model": "tiny", "prompt": "a cat", "width": 64, "height": 64}
YEAR = 365 * 24 * 3600
JUMPS = (YEAR, -YEAR, 3600, -1)
"""A year on and back, summer time, and more than an hour back to before it, by a second."""


@pytest.mark.case("F19")
def test_a_clock_that_jumps_changes_nothing(world: World, tmp_path: Path) -> None:
    world.backends(StepMilliseconds=100)
    log, clock = tmp_path / "server.log", tmp_path / "clock"
    clock.write_text("0", encoding="utf-8")

    def started() -> ServerProcess:
        server = ServerProcess(
            world.folder,
            free_port(),
            log=log,
            environment={"ODD_CLOCK": str(clock)},
            program=("-m", "tests.support.odd_server"),
        )
        server.wait_until_up()
        return server

    server = started()
    with SwarmClient(server.base) as client:
        session = client.session_id
        for jump in JUMPS:
            stream = client.stream("GenerateText2ImageWS", images=2, **{**SMALL, "steps": 5})
            assert any("gen_progress" in message for message in stream)
            clock.write_text(str(jump), encoding="utf-8")
            rest = list(stream)
            assert not [message for message in rest if "error" in message]
            assert len([message for message in rest if "image" in message]) == 2, jump
            assert "error" not in client.post("GetMyUserData"), "the session ended"
        count = 2 * len(JUMPS)
        assert wait_until_done(world) == {"stored": count}
        assert len({path for path in pictures(world) if path.suffix == ".png"}) == count
        assert len(client.post("ListImages", path="", depth=9)["files"]) == count
        check(world, server.base, swept=False)
    assert server.stop() == 0

    clock.write_text(str(-2 * YEAR), encoding="utf-8")
    server = started()
    try:
        with SwarmClient(server.base) as client:
            answer = client.raw("GetMyUserData", {"session_id": session}).json()
            assert "error" not in answer, "a jump back ended a session"
            assert "images" in client.generate(**SMALL, steps=1)
        check(world, server.base)
    finally:
        assert server.stop() == 0
    check_log(log)

"""A settings file that somebody has spoilt: the last good copy is used, the bad one is kept, the log names the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.settings.file import load_settings
from tests.conftest import World
from tests.faults.ledger import check, check_log
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port


def started(world: World, log: Path) -> ServerProcess:
    server = ServerProcess(world.folder, free_port(), log=log)
    server.wait_until_up()
    return server


@pytest.mark.case("F26")
def test_a_spoilt_settings_file_costs_no_settings(world: World, tmp_path: Path) -> None:
    log, file = tmp_path / "server.log", world.data / "Settings.fds"
    file.write_text("Backends:\n\tClearVRAMAfterMinutes: 7\n\tNoSuchThing: 5\nStrange: 1\n", encoding="utf-8")
    assert started(world, log).stop() == 0
    good = file.read_text(encoding="utf-8")
    bad = good + "\tthis is no setting\n"
    file.write_text(bad, encoding="utf-8")
    (world.data / ".swarm-deadbeef-0.tmp").write_text("half of a settings file", encoding="utf-8")
    server = started(world, log)
    try:
        with SwarmClient(server.base) as client:
            listed = client.post("ListServerSettings")["settings"]
            assert listed["backends"]["value"]["clearvramafterminutes"]["value"] == 7
        check(world, server.base)
    finally:
        assert server.stop() == 0
    assert (world.data / "Settings.fds.bad").read_text(encoding="utf-8") == bad
    assert file.read_text(encoding="utf-8") == good
    check_log(log, "Settings.fds: Line 5 of the settings cannot be read", "its last good copy is used")


@pytest.mark.case("F26")
def test_values_of_the_wrong_type_keep_their_defaults_and_are_named(world: World, tmp_path: Path) -> None:
    log, file = tmp_path / "server.log", world.data / "Settings.fds"
    file.write_text("Backends:\n\tClearVRAMAfterMinutes: soon\n\tMaxBackendInitAttempts: 2\n", encoding="utf-8")
    server = started(world, log)
    try:
        check(world, server.base)
    finally:
        assert server.stop() == 0
    assert load_settings(file).backends.max_backend_init_attempts == 2
    check_log(log, "The setting ClearVRAMAfterMinutes keeps its default")

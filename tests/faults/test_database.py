"""Databases that others hold, that vanish, that are older or newer than the program, and writes that are killed."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from swarm.accounts import session as sessions
from swarm.base import fds
from swarm.base.backup import copies_of, keep_copy
from swarm.base.database import BUSY_SECONDS
from swarm.base.tasks import WORKERS
from swarm.generation.ledger import WRITERS
from tests.conftest import World
from tests.faults.ledger import check, check_log, ledger, pictures, until, wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port, options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "width": 64, "height": 64}
KEPT_SESSION = "0" * 39 + "a"
SESSION_MIGRATIONS: tuple[str, ...] = vars(sessions)["_MIGRATIONS"]


@contextmanager
def running(world: World, log: Path, **more: Any) -> Iterator[tuple[ServerProcess, SwarmClient]]:
    server = ServerProcess(world.folder, free_port(), log=log, **more)
    try:
        server.wait_until_up()
        with SwarmClient(server.base) as client:
            yield server, client
    finally:
        server.stop()


@contextmanager
def locked(world: World) -> Iterator[None]:
    """Another process writes to both databases and does not come to an end."""
    with ExitStack() as stack:
        for name in ("swarm.db", "index.db"):
            other = stack.enter_context(closing(sqlite3.connect(world.data / name, isolation_level=None, timeout=30)))
            other.execute("BEGIN IMMEDIATE")
            stack.callback(other.execute, "ROLLBACK")
        yield


@pytest.mark.case("F13")
def test_a_locked_database_can_be_read_and_writers_are_told_when_to_come_again(world: World, tmp_path: Path) -> None:
    world.backends(StepMilliseconds=400, MaxUsages=2)
    log = tmp_path / "server.log"
    with running(world, log) as (server, client):
        stream = client.stream("GenerateText2ImageWS", images=3, **{**SMALL, "steps": 5})
        assert any("gen_progress" in message for message in stream)
        answers: list[tuple[float, httpx2.Response]] = []

        def write(route: str, body: dict[str, Any]) -> None:
            began = time.monotonic()
            with SwarmClient(server.base) as other:
                answer = other.raw(route, {"session_id": client.session_id, **body})
            answers.append((time.monotonic() - began, answer))

        preset = {"title": "Mine", "description": "", "param_map": {"steps": "7"}}
        wanted = [("AddNewPreset", preset), ("GenerateText2Image", {"images": 1, **SMALL}), ("GetNewSession", {})]
        with locked(world):
            writers = [threading.Thread(target=write, args=each) for each in wanted]
            for writer in writers:
                writer.start()
            for route, body in (("GetMyUserData", {}), ("GetCurrentStatus", {}), ("ListModels", {"depth": 2})):
                began = time.monotonic()
                assert "error" not in client.post(route, **{"path": "", **body})
                assert time.monotonic() - began < 2, route
            for writer in writers:
                writer.join(60)
        assert len(answers) == len(wanted)
        for seconds, answer in answers:
            assert seconds < 2 * BUSY_SECONDS + 3
            assert (answer.status_code, answer.json()["error_id"]) == (503, "busy"), answer.text
            assert int(answer.headers["retry-after"]) > 0
        assert len([message for message in stream if "image" in message]) == 3
        assert client.post("AddNewPreset", **preset) == {"success": True}
        assert wait_until_done(world) == {"stored": 3}
        check(world, server.base, swept=False)
    check_log(log, "could not write: The server's database is busy")


def test_reading_goes_on_however_many_requests_wait_for_a_locked_database(world: World, tmp_path: Path) -> None:
    with (
        running(world, tmp_path / "server.log") as (server, client),
        ThreadPoolExecutor(WORKERS + WRITERS + 6) as crowd,
    ):
        session = client.session_id

        def generate(number: int) -> dict[str, Any]:
            with SwarmClient(server.base) as other:
                body = {"session_id": session, "images": 1, "seed": number, **SMALL}
                return dict(other.raw("GenerateText2Image", body).json())

        with locked(world):
            waiting = [crowd.submit(generate, number) for number in range(WORKERS + WRITERS + 6)]
            time.sleep(1.5)
            for route, body in (("GetMyUserData", {}), ("ListImages", {"depth": 2}), ("ListModels", {"depth": 2})):
                began = time.monotonic()
                assert "error" not in client.post(route, **{"path": "", **body})
                assert time.monotonic() - began < 1.5, route
            assert not any(each.done() for each in waiting)
        assert all("images" in each.result(60) for each in waiting)
        check(world, server.base, swept=False)


def filled(world: World, log: Path) -> None:
    """A server has run here, made a preset and a picture, and its database was copied."""
    with running(world, log) as (_, client):
        client.post("AddNewPreset", title="Mine", description="", param_map={"steps": "7"})
        assert "images" in client.generate(**SMALL)
        keep_copy(world.data / "swarm.db", world.data / "Backups", datetime(2099, 1, 31, 18, 5, 7))


def remove(world: World, *endings: str) -> None:
    for name in ("swarm.db", "index.db"):
        for ending in endings:
            (world.data / f"{name}{ending}").unlink(missing_ok=True)


@pytest.mark.case("F14")
def test_databases_deleted_under_a_server_come_back(world: World, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    filled(world, log)
    with running(world, log) as (server, client):
        remove(world, "", "-wal", "-shm")
        assert "images" in client.generate(**SMALL)
        client.post("AddNewPreset", title="Late", description="", param_map={"steps": "8"})
        assert server.stop() == 0
    check_log(log, "swarm.db was deleted while the server ran")
    with running(world, log) as (server, client):
        assert {preset["title"] for preset in client.post("GetMyUserData")["presets"]} == {"Mine", "Late"}
        assert len(client.post("ListImages", path="", depth=5)["files"]) == 2
        check(world, server.base)


@pytest.mark.case("F14")
def test_after_a_kill_without_databases_or_logs_the_copy_is_taken(world: World, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    filled(world, log)
    server = ServerProcess(world.folder, free_port(), log=log)
    server.wait_until_up()
    server.kill()
    remove(world, "-wal")
    with running(world, log) as (server, client):
        assert [preset["title"] for preset in client.post("GetMyUserData")["presets"]] == ["Mine"]
        check(world, server.base)
        server.kill()
    remove(world, "")
    with running(world, log) as (server, client):
        assert "swarm.db was gone" in client.post("GetCurrentStatus")["notices"][0]
        assert [preset["title"] for preset in client.post("GetMyUserData")["presets"]] == ["Mine"]
        assert len(client.post("ListImages", path="", depth=5)["files"]) == len(pictures(world)) == 1
        check(world, server.base)
    check_log(log, "swarm.db is gone")


def older(world: World, version: int) -> None:
    """A database as a program wrote it that knew the first migrations of sessions only, with a session in it."""
    with closing(sqlite3.connect(world.data / "swarm.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE schema (store TEXT PRIMARY KEY, version INTEGER NOT NULL)")
        for script in SESSION_MIGRATIONS[:version]:
            database.executescript(script)
        database.execute("INSERT INTO schema VALUES ('sessions', ?)", (version,))
        database.execute(
            "INSERT INTO sessions (id, user_id, origin, last_active) VALUES (?, 'local', '127.0.0.1', ?)",
            (KEPT_SESSION, time.time()),
        )
        database.commit()


def versions_in(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as database:
        return dict(database.execute("SELECT store, version FROM schema"))


@pytest.mark.case("F29")
@pytest.mark.parametrize("version", range(1, len(SESSION_MIGRATIONS)))
def test_a_database_of_each_older_version_is_taken_over_and_copied_first(world: World, version: int) -> None:
    older(world, version)
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        answer = client.raw("GetMyUserData", {"session_id": KEPT_SESSION}).json()
        assert "error" not in answer, answer
        assert "images" in client.raw("GenerateText2Image", {"session_id": KEPT_SESSION, "images": 1, **SMALL}).json()
        check(world, base)
    assert versions_in(world.data / "swarm.db")["sessions"] == len(SESSION_MIGRATIONS)
    assert versions_in(copies_of("swarm.db", world.data / "Backups")[-1])["sessions"] == version


@pytest.mark.case("F29")
def test_a_database_of_a_newer_version_is_refused_and_left_alone(world: World, tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    older(world, len(SESSION_MIGRATIONS))
    with closing(sqlite3.connect(world.data / "swarm.db")) as database:
        database.execute("UPDATE schema SET version = 99 WHERE store = 'sessions'")
        database.commit()
    server = ServerProcess(world.folder, free_port(), log=log)
    assert server.child.wait(60) == 1
    server.stop()
    check_log(log, "belongs to a newer version of Swarm (sessions 99")
    assert versions_in(world.data / "swarm.db")["sessions"] == 99


@pytest.mark.case("F2")
@pytest.mark.case("F29")
def test_a_start_killed_at_any_moment_leaves_the_old_or_the_new_tables(world: World, tmp_path: Path) -> None:
    rng, log = random.Random(2), tmp_path / "server.log"
    older(world, 1)
    for _ in range(3):
        server = ServerProcess(world.folder, free_port(), log=log)
        deadline = time.monotonic() + rng.uniform(0.0, 0.15)
        until(lambda: (world.data / "server.lock").exists(), 60)
        time.sleep(max(0.0, deadline - time.monotonic()))
        server.kill()
        (world.data / "server.lock").unlink()
        assert versions_in(world.data / "swarm.db")["sessions"] in (1, len(SESSION_MIGRATIONS))
    with running(world, log) as (server, client):
        assert "error" not in client.raw("GetMyUserData", {"session_id": KEPT_SESSION}).json()
        check(world, server.base)


def write_on_and_on(base: str, promised: list[int], over: threading.Event) -> None:
    """Settings and presets, one after another, each noted when the server has answered."""
    with SwarmClient(base) as client, suppress(httpx2.HTTPError, json.JSONDecodeError, KeyError):
        for number in range(promised[-1] + 1, promised[-1] + 500):
            if over.is_set():
                return
            client.post("ChangeServerSettings", settings={"Backends.ClearVRAMAfterMinutes": 1000 + number})
            answer = client.post("AddNewPreset", title=f"P{number}", description="x" * 5000, param_map={"steps": "7"})
            if answer == {"success": True}:
                promised.append(number)


def more_than(things: list[int], count: int) -> bool:
    return len(things) > count


@pytest.mark.case("F2")
def test_settings_and_user_data_written_while_killed_are_old_or_new(world: World, tmp_path: Path) -> None:
    rng, log, promised = random.Random(7), tmp_path / "server.log", [0]
    for _ in range(3):
        with running(world, log) as (server, client):
            titles = {preset["title"] for preset in client.post("GetMyUserData")["presets"]}
            assert {f"P{number}" for number in promised[1:]} <= titles
            check(world, server.base)
            over, before = threading.Event(), len(promised)
            writer = threading.Thread(target=write_on_and_on, args=(server.base, promised, over), daemon=True)
            writer.start()
            until(partial(more_than, promised, before))
            time.sleep(rng.uniform(0.0, 0.3))
            server.child.send_signal(signal.SIGKILL)
            server.child.wait(10)
            over.set()
            writer.join(30)
        tree = fds.parse((world.data / "Settings.fds").read_text(encoding="utf-8"))
        section = tree["Backends"]
        assert isinstance(section, dict)
        assert round(float(str(section["ClearVRAMAfterMinutes"]))) - 1000 in (promised[-1], promised[-1] + 1)
    assert ledger(world) == {}

"""What must hold after every fault, seen from outside: by HTTP, in the databases, in the folders, in the log."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import unquote

import httpx2

from swarm.base.atomic import is_leftover
from tests.conftest import World

STATES = frozenset({"pending", "running", "stored", "failed", "cancelled"})
LIVE_SECONDS = 10.0


def ledger(world: World) -> dict[str, int]:
    """How many jobs are in each state that any is in."""
    with closing(sqlite3.connect(world.data / "swarm.db", timeout=30)) as database:
        return dict(database.execute("SELECT state, COUNT(*) FROM jobs GROUP BY state"))


def pictures(world: World) -> list[Path]:
    """Every file among the outputs, unfinished ones too."""
    return sorted(path for path in world.outputs.rglob("*") if path.is_file())


def until(condition: Callable[[], object], seconds: float = 30.0, what: str = "This") -> None:
    """Wait for something that is about to come. Raises AssertionError when it does not."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come about within {seconds:g} seconds."
        time.sleep(0.05)


def wait_until_done(world: World, seconds: float = 30.0) -> dict[str, int]:
    """Wait until every promised job has ended; the ledger then."""
    until(lambda: not ledger(world).keys() & {"pending", "running"}, seconds, "The end of all jobs")
    return ledger(world)


def check_alive(base: str) -> None:
    """The server says that it lives."""

    def lives() -> bool:
        try:
            return httpx2.get(f"{base}/health/live", trust_env=False, timeout=LIVE_SECONDS).status_code == 200
        except httpx2.HTTPError:
            return False

    until(lives, LIVE_SECONDS, "/health/live")


def check_files(world: World, *, swept: bool = True) -> None:
    """Databases are sound, jobs are in a state that means something, and nothing half-written lies about.

    `swept`: the server has started since the fault.
    """
    for path in (world.data / "swarm.db", world.data / "index.db"):
        with closing(sqlite3.connect(path, timeout=30)) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",), path
    with closing(sqlite3.connect(world.data / "swarm.db", timeout=30)) as database:
        rows = database.execute("SELECT id, state, outcome, attempt, lease_until FROM jobs").fetchall()
    for id, state, outcome, attempt, lease_until in rows:
        assert state in STATES, (id, state)
        assert state != "failed" or outcome.endswith("."), f"{id} has failed without a reason: {outcome!r}"
        assert state != "stored" or all(map(partial(is_there, world), outcome.split("\n"))), f"{id}: {outcome} is gone"
        assert state != "running" or lease_until > time.time(), f"{id} runs without a lease"
        assert attempt <= 3, f"{id} was tried {attempt} times"
    if swept:
        # Files that the server that runs now is writing look the same, for a moment.
        until(lambda: not any(map(is_leftover, names_below(world.folder))), what="The end of half-written files")


def names_below(folder: Path) -> list[str]:
    return [name for _, _, names in os.walk(folder) for name in names]


def is_there(world: World, url: str) -> bool:
    """Whether the picture of an address is on the disk."""
    name = unquote(url).partition("/")[2]
    return name != "" and (world.outputs / name).stat().st_size > 0


def check_log(log: Path, *causes: str) -> None:
    """Each cause is said, and nothing unforeseen was."""
    text = log.read_text(encoding="utf-8")
    for cause in causes:
        assert any(cause in line for line in text.splitlines()), f"{cause!r} is not in the log: {text[-2000:]}"
    assert "Traceback" not in text, text[-4000:]


def check(world: World, base: str | None = None, *, swept: bool = True) -> None:
    """What must hold after every fault. `base`: of the server that runs now."""
    if base is not None:
        check_alive(base)
    check_files(world, swept=swept)

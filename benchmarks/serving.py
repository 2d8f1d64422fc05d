"""Starts a real server with its engine for a benchmark, and waits until it can draw."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

ENGINE_SECONDS = 120.0


@contextmanager
def engine_server(folder: Path, *, threads: str = "1") -> Iterator[str]:
    """A server on loopback with all its files under `folder`; yields its base URL once an engine is running."""
    log = folder / "server.log"
    server = ServerProcess(folder, free_port(), log=log, environment={"OMP_NUM_THREADS": threads})
    try:
        server.wait_until_up()
        wait_for_engine(server.base, log)
        yield server.base
    finally:
        server.stop()


def wait_for_engine(base: str, log: Path, seconds: float = ENGINE_SECONDS) -> None:
    """Return when some backend is running. Raises RuntimeError with the end of the server's log otherwise."""
    deadline = time.monotonic() + seconds
    with SwarmClient(base) as client:
        while time.monotonic() < deadline:
            if client.post("GetCurrentStatus")["backend_status"]["status"] == "running":
                return
            time.sleep(0.1)
    raise RuntimeError(f"No engine came up. The log ends with:\n{log.read_text(encoding='utf-8')[-2000:]}")

"""Whether the server stays quick when there is much of everything.

    python -m benchmarks.scale [--sockets 1000] [--jobs 10000] [--queued 100000] [--images 200000] [--models 20000]

Starts servers of its own with the fake backend on loopback, over a folder filled with models of a header only, pictures
of a few bytes and promised jobs. Last line, as JSON:

idle_socket_kib       resident memory of the server per open WebSocket that says nothing
sockets_dropped       how many of them the server closed meanwhile
jobs_accepted_per_s   pictures promised, on disk, per second, through GenerateText2ImageWS
claim_p99_ms          taking one job out of the queue of promised ones
history_page_p95_ms   ListImages over all pictures, newest first
models_list_p95_ms    ListModels over all models
first_answer_s        from the start of the process to the first answer, with all of this present
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, closing
from pathlib import Path
from uuid import uuid4

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil
from rich.console import Console
from rich.table import Table
from websockets.asyncio.client import connect

from swarm.base.database import Database
from swarm.queue.jobs import JobStore
from swarm.queue.rows import NewJob
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, fake_backends, free_port

PER_FOLDER = 1000
REQUESTS = 50
CALLS = 40
TARGETS = {
    "idle_socket_kib": 100.0, "sockets_dropped": 0.0, "jobs_accepted_per_s": 1000.0, "claim_p99_ms": 10.0,
    "history_page_p95_ms": 200.0, "models_list_p95_ms": 200.0, "first_answer_s": 3.0,
}  # fmt: skip


def main() -> int:
    options = _options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * options.sockets + 500)), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {"claim_p99_ms": claiming(folder / "claims.sqlite", options.queued)}
        figures |= {"jobs_accepted_per_s": accepting(folder / "accepting", options.jobs)}
        figures |= full_house(folder / "full", options)
    table = Table(title="scale")
    for heading in ("figure", "measured", "asked for"):
        table.add_column(heading)
    for figure, target in TARGETS.items():
        bound = "≥" if figure == "jobs_accepted_per_s" else "≤"
        table.add_row(figure, f"{figures[figure]:.2f}", f"{bound} {target:g}")
    Console().print(table)
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sockets", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--models", type=int, default=20_000)
    return parser.parse_args()


def _server(folder: Path, **backend: object) -> ServerProcess:
    data = folder / "Data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "Backends.fds").write_text(fake_backends(**backend), encoding="utf-8")
    return ServerProcess(folder, free_port(), log=folder / "server.log")


def queue_of(path: Path, count: int) -> JobStore:
    """A queue with `count` pictures promised to a hundred users."""
    store = JobStore(Database(path, durable=True), time.time)
    body = b"{}"
    for start in range(0, count, 5000):
        store.accept(
            [
                NewJob(
                    id=uuid4().hex,
                    session_id=f"session {number % 100}",
                    user_id=f"user {number % 100}",
                    request_id=f"request {number // 10}",
                    index=number % 10,
                    body=body,
                )
                for number in range(start, min(count, start + 5000))
            ]
        )
    return store


def claiming(path: Path, queued: int) -> float:
    """p99 milliseconds of taking one job, durably, out of a queue."""
    store = queue_of(path, queued)
    return round(_percentile(_timed(lambda: store.claim(1, 60.0), 1000), 99) * 1000, 3)


def accepting(folder: Path, jobs: int) -> float:
    """Promised pictures per second, by what is on the server's disk."""
    write_model(folder / "Models" / "Stable-Diffusion" / "model 0.safetensors")
    server = _server(folder, StepMilliseconds=1000, MaxUsages=1)
    each = max(1, jobs // REQUESTS)
    try:
        server.wait_until_up()
        with SwarmClient(server.base, timeout=120) as client:
            session = client.session_id
        begun = time.perf_counter()
        promise(server.base, session, each, folder / "Data" / "swarm.db")
        seconds = time.perf_counter() - begun
    finally:
        server.kill()
    return round(REQUESTS * each / seconds, 1)


def promise(base: str, session: str, each: int, database: Path) -> None:
    """Ask for REQUESTS times `each` pictures and wait until all of them are promised on disk."""
    asyncio.run(_promised(base, session, REQUESTS, each))
    deadline = time.perf_counter() + 120
    # A first status may come before the rows of that request are written; what counts is the disk.
    while (found := _jobs_in(database)) < REQUESTS * each:
        if time.perf_counter() > deadline:
            raise RuntimeError(f"Only {found} of {REQUESTS * each} pictures are on the disk.")
        time.sleep(0.01)


def _jobs_in(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT COUNT(*) FROM jobs").fetchone()[0])


async def _promised(base: str, session: str, requests: int, each: int) -> None:
    """Ask on many sockets at once; return when each has heard that its pictures are accepted."""
    address = base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    asked = {"session_id": session, "images": each, "model": "model 0", "prompt": "x", "width": 64, "height": 64}

    async def one(socket: object) -> None:
        connection: object = socket
        await connection.send(json.dumps(asked))  # type: ignore[attr-defined]
        said = json.loads(await connection.recv())  # type: ignore[attr-defined]
        if "error" in said:
            raise RuntimeError(str(said))

    async with AsyncExitStack() as stack:
        opened = [
            await stack.enter_async_context(connect(address, compression=None, proxy=None)) for _ in range(requests)
        ]
        await asyncio.gather(*(one(socket) for socket in opened))


def full_house(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """A server with everything at once: starting, listing, many sockets."""
    _fill(folder, options)
    server = _server(folder, StepMilliseconds=200, MaxUsages=1)
    try:
        server.wait_until_up(180)
        session = _settle(server.base)
        promise(server.base, session, max(1, options.queued // REQUESTS), folder / "Data" / "swarm.db")
    finally:
        server.kill()
    begun = time.perf_counter()
    server = _server(folder, StepMilliseconds=200, MaxUsages=1)
    try:
        server.wait_until_up(120)
        with SwarmClient(server.base, timeout=60) as client:
            _ = client.session_id
            first = time.perf_counter() - begun
            history = _timed(
                lambda: client.post("ListImages", path="", depth=4, sortBy="Date", sortReverse=False), CALLS
            )
            models = _timed(lambda: client.post("ListModels", path="", depth=3, subtype="Stable-Diffusion"), CALLS)
        kib, dropped = asyncio.run(_idle(server, options.sockets))
    finally:
        server.stop()
    return {
        "first_answer_s": round(first, 3),
        "history_page_p95_ms": round(_percentile(history, 95) * 1000, 1),
        "models_list_p95_ms": round(_percentile(models, 95) * 1000, 1),
        "idle_socket_kib": round(kib, 1),
        "sockets_dropped": float(dropped),
    }


def _fill(folder: Path, options: argparse.Namespace) -> None:
    """Models with a header only, pictures that are links to one file, and promised jobs."""
    models = folder / "Models" / "Stable-Diffusion"
    first = write_model(models / "group 0" / "model 0.safetensors").read_bytes()
    for number in range(1, options.models):
        path = models / f"group {number // PER_FOLDER}" / f"model {number}.safetensors"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(first)
    pictures = folder / "Output" / "local" / "raw"
    pictures.mkdir(parents=True)
    for number in range(options.images):
        home = pictures / f"day {number // PER_FOLDER:04d}"
        if number % PER_FOLDER == 0:
            home.mkdir()
            (home / "0.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        else:
            os.link(home / "0.png", home / f"{number % PER_FOLDER}.png")


def _settle(base: str) -> str:
    """Wait until the first look at the folder is over, so that every start after it is a warm one. A session's id."""
    deadline = time.monotonic() + 300
    with SwarmClient(base, timeout=120) as client:
        while time.monotonic() < deadline:
            status = client.post("GetCurrentStatus")["backend_status"]
            if status["status"] == "running" and not status.get("message"):
                break
            time.sleep(0.5)
        client.post("ListImages", path="", depth=4, sortBy="Date", sortReverse=False)
        return client.session_id


async def _idle(server: ServerProcess, count: int) -> tuple[float, int]:
    """(KiB per socket, how many were closed) of `count` open sockets."""
    process = psutil.Process(server.child.pid)
    address = server.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(connect(address, compression=None, proxy=None))
        before = process.memory_info().rss
        opened = [await stack.enter_async_context(connect(address, compression=None, proxy=None)) for _ in range(count)]
        await asyncio.sleep(3)
        after = process.memory_info().rss
        dropped = 0
        for socket in opened:
            try:
                await asyncio.wait_for(await socket.ping(), 10)
            except (OSError, TimeoutError, Exception):  # noqa: BLE001 - whatever it is, the socket is gone
                dropped += 1
    return (after - before) / 1024 / count, dropped


def _timed(action: Callable[[], object], count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        begun = time.perf_counter()
        action()
        seconds.append(time.perf_counter() - begun)
    return seconds


def _percentile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]


if __name__ == "__main__":
    sys.exit(main())

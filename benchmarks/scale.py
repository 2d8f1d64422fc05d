"""Whether the server stays quick when there is much of everything.

    python -m benchmarks.scale [--sockets 1000] [--jobs 10000] [--queued 100000] [--images 200000] [--models 20000]

Starts servers of its own with the fake backend on loopback, over a folder filled with models of a header only,
pictures of a few bytes whose metadata is remembered at its true size, and promised jobs. Prints every figure beside
what is asked for and ends with 1 when one is missed; the last line is JSON. `disturbance` is how much longer than its
processor time a computation took: at 2, a figure in milliseconds is about twice what an idle machine would give.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sqlite3
import sys
import tempfile
import time
from contextlib import AsyncExitStack, closing
from pathlib import Path
from uuid import uuid4

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil
from websockets.asyncio.client import connect

from benchmarks.bars import Bar, disturbance, percentile, report, timed
from swarm.base.database import Database
from swarm.outputs.index import HistoryIndex, stamp_of
from swarm.queue.jobs import JobStore
from swarm.queue.rows import NewJob
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, fake_backends, free_port

PER_FOLDER = 1000
REQUESTS = 50
CALLS = 40
METADATA = json.dumps({"sui_image_params": {"prompt": "a lighthouse at dusk, " * 60, "seed": 1, "steps": 20}}, indent=4)
BARS = (
    Bar("idle_socket_kib", "memory per open socket that says nothing, KiB", most=100),
    Bar("sockets_dropped", "of those, closed by the server", most=0),
    Bar("jobs_accepted_per_s", "pictures promised, on disk, over sockets", least=1000),
    Bar("claim_p99_ms", "taking one job out of the long queue", most=10),
    Bar("queue_rss_mib", "memory the server grows by while it promises the long queue, MiB", most=200),
    Bar("restart_rss_mib", "memory of the restarted server that holds that promise, MiB more", most=200),
    Bar("queue_status_p95_ms", "GetCurrentStatus with the long queue", most=100),
    Bar("first_answer_s", "process start to first answer, with all of this", most=3),
    Bar("first_answer_cpu_s", "processor time of that start"),
    Bar("index_rebuild_s", "first list after the history index was lost", most=600),
    Bar("history_page_p95_ms", "ListImages over all, newest first", most=200),
    Bar("history_page_cpu_ms", "processor time of the server for one such page"),
    Bar("history_oldest_p95_ms", "the same, oldest first", most=200),
    Bar("history_name_p95_ms", "the same, by name", most=200),
    Bar("history_name_reverse_p95_ms", "the same, by name, upwards", most=200),
    Bar("history_folder_p95_ms", "ListImages of one deep folder", most=200),
    Bar("models_list_p95_ms", "ListModels over all", most=200),
    Bar("models_list_cpu_ms", "processor time of the server for one such list"),
    Bar("disturbance", "1 on a machine that does nothing else"),
)


def main() -> int:
    options = _options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * options.sockets + 500)), hard))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures = {"disturbance": disturbance()}
        figures |= {"claim_p99_ms": claiming(folder / "claims.sqlite", options.queued)}
        figures |= {"jobs_accepted_per_s": accepting(folder / "accepting", options.jobs)}
        figures |= full_house(folder / "full", options)
    figures["disturbance"] = round((figures["disturbance"] + disturbance()) / 2, 2)
    return report("scale", BARS, figures)


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
    return round(percentile(timed(lambda: store.claim(1, 60.0), 1000), 99) * 1000, 3)


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
    figures = _first_run(folder, options)
    _remember_metadata(folder)
    figures |= min((_started(folder) for _ in range(2)), key=lambda start: start["first_answer_s"])
    server = _server(folder, StepMilliseconds=200, MaxUsages=1)
    try:
        server.wait_until_up(120)
        with SwarmClient(server.base, timeout=60) as client:
            figures |= _lists(client, psutil.Process(server.child.pid))
        kib, dropped = asyncio.run(_idle(server, options.sockets))
    finally:
        server.stop()
    figures["restart_rss_mib"] -= figures.pop("plain_rss_mib")
    return figures | {"idle_socket_kib": round(kib, 1), "sockets_dropped": float(dropped)}


def _first_run(folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Look at all files for the first time, and promise the long queue."""
    server = _server(folder, StepMilliseconds=200, MaxUsages=1)
    try:
        server.wait_until_up(180)
        session, rebuild = _settle(server.base)
        before = _mib(server)
        promise(server.base, session, max(1, options.queued // REQUESTS), folder / "Data" / "swarm.db")
        with SwarmClient(server.base, timeout=60) as client:
            status = timed(lambda: client.post("GetCurrentStatus", session_id=session), CALLS)
        grown = _mib(server) - before
    finally:
        server.kill()
    return {
        "index_rebuild_s": round(rebuild, 2),
        "queue_rss_mib": round(grown, 1),
        "queue_status_p95_ms": _ms(status),
        "plain_rss_mib": before,
    }


def _started(folder: Path) -> dict[str, float]:
    """One start with everything there, ended by a kill."""
    begun = time.perf_counter()
    server = _server(folder, StepMilliseconds=200, MaxUsages=1)
    try:
        server.wait_until_up(120)
        with SwarmClient(server.base, timeout=60) as client:
            client.post("GetCurrentStatus")
            first = time.perf_counter() - begun
            used = psutil.Process(server.child.pid).cpu_times()
            time.sleep(2)  # memory is that of a server that has begun to keep its promises
            memory = _mib(server)
    finally:
        server.kill()
    return {
        "first_answer_s": round(first, 3),
        "first_answer_cpu_s": round(used.user + used.system, 2),
        "restart_rss_mib": memory,
    }


def _lists(client: SwarmClient, server: psutil.Process) -> dict[str, float]:
    def cpu() -> float:
        used = server.cpu_times()
        return float(used.user + used.system)

    def images(path: str = "", depth: int = 4, by: str = "Date", reverse: bool = False) -> float:
        return _ms(
            timed(lambda: client.post("ListImages", path=path, depth=depth, sortBy=by, sortReverse=reverse), CALLS)
        )

    marks = [cpu()]
    newest = images()
    marks.append(cpu())
    models = _ms(timed(lambda: client.post("ListModels", path="", depth=3, subtype="Stable-Diffusion"), CALLS))
    marks.append(cpu())
    return {
        "history_page_p95_ms": newest,
        "history_page_cpu_ms": round((marks[1] - marks[0]) / CALLS * 1000, 1),
        "models_list_p95_ms": models,
        "models_list_cpu_ms": round((marks[2] - marks[1]) / CALLS * 1000, 1),
        "history_oldest_p95_ms": images(reverse=True),
        "history_name_p95_ms": images(by="Name"),
        "history_name_reverse_p95_ms": images(by="Name", reverse=True),
        "history_folder_p95_ms": images("raw/day 0000", 1),
    }


def _ms(seconds: list[float]) -> float:
    return round(percentile(seconds, 95) * 1000, 1)


def _mib(server: ServerProcess) -> float:
    return float(psutil.Process(server.child.pid).memory_info().rss) / 2**20


def _remember_metadata(folder: Path) -> None:
    """What the index holds of pictures that were made here: their metadata."""
    database = Database(folder / "Data" / "index.db", durable=False)
    try:
        index = HistoryIndex(database)
        for home in (folder.resolve() / "Output" / "local" / "raw").iterdir():
            paths = [path.as_posix() for path in home.iterdir()]
            index.remember_texts((path, stamp_of(path, has_sidecar=False) or "", METADATA) for path in paths)
    finally:
        database.close()


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


def _settle(base: str) -> tuple[str, float]:
    """Wait until the first look at the folder is over, so that every start after it is a warm one.

    A session's id, and how many seconds the first look at the pictures took.
    """
    deadline = time.monotonic() + 300
    with SwarmClient(base, timeout=300) as client:
        while time.monotonic() < deadline:
            status = client.post("GetCurrentStatus")["backend_status"]
            if status["status"] == "running" and not status.get("message"):
                break
            time.sleep(0.5)
        begun = time.perf_counter()
        client.post("ListImages", path="", depth=4, sortBy="Date", sortReverse=False)
        return client.session_id, time.perf_counter() - begun


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


if __name__ == "__main__":
    sys.exit(main())

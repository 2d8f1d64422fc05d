"""Whether the server holds under load, with the fake backend: many requests, many sockets, big files, a long while.

    python -m benchmarks.load [--seconds 10] [--soak 120] [--file-mib 512] [--only NAME …]

Starts a server of its own on loopback for each load. Prints every figure beside what is asked for and ends with 1 when
one is missed; the last line is JSON. `loop_…` is what a small question from another process waits for its answer while
the load is on. Load and server share the machine, so all times are those of both together; `disturbance` is how much
longer than its processor time a computation took when nothing of ours ran.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import io
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

if not __package__:  # run as a file: let it find its neighbours
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import psutil
from PIL import Image
from websockets.asyncio.client import connect

from benchmarks.bars import Bar, disturbance, percentile, report
from benchmarks.clients import Wire, generation, probing, session_of, verdict
from benchmarks.mixed import SMALL, STEPS, Mixed
from swarm.settings.file import save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from tests.support.models import write_model
from tests.support.server import ServerProcess, fake_backends, free_port

UPLOAD_LIMIT_MIB = 24
BARS = (
    Bar("status_rps", "GetCurrentStatus, 64 connections, requests/s", least=3000),
    Bar("status_p99_ms", "the same", most=50),
    Bar("mixed_p95_ms", "50 users: 80 % lists, views, status; 20 % pictures and presets", most=150),
    Bar("mixed_p99_ms", "the same", most=500),
    Bar("mixed_5xx", "the same, answers that are the server's fault", most=0),
    Bar("previews_dropped", "500 silent sockets, 500 with previews of 20 kB twice a second", most=0),
    Bar("previews_loop_p99_ms", "the same", most=50),
    Bar("flight_wrong", "200 pictures in flight, 20 steps with previews: clients that heard not all in order", most=0),
    Bar("flight_lag_p95_ms", "the same: progress later than the step took", most=250),
    Bar("fair_jobs_before_b", "A asks for 1,000, then B for 1: pictures of A that end before B's begins", most=2),
    Bar("file_rss_mib", "a big file to 20 clients at once, memory grown by", most=50),
    Bar("file_wrong", "the same, bytes of it or of a range from the middle that were not right", most=0),
    Bar("upload_rss_ratio", "10 uploads at the limit at once, memory grown by / (10 × limit)", most=2),
    Bar("upload_loop_p99_ms", "the same", most=100),
    Bar("upload_wrong", "the same, uploads that were not stored", most=0),
    Bar("soak_rss_mib", "mixed load with crashing clients, memory of the last third above the middle one's", most=4),
    Bar("soak_fds", "the same, open files", most=4),
    Bar("soak_threads", "the same, threads", most=2),
    Bar("soak_5xx", "the same, answers that are the server's fault", most=0),
    Bar("disturbance", "1 on a machine that does nothing else"),
)
Figures = dict[str, float]


def main() -> int:
    options = _options()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 8192)), hard))
    loads: dict[str, Callable[[Path, argparse.Namespace], Figures]] = {
        **{"status": status, "mixed": mixed, "previews": previews, "flight": flight},
        **{"fair": fair, "file": file, "upload": upload, "soak": soak},
    }
    figures = {"disturbance": disturbance()}
    for name, load in loads.items():
        if name in (options.only or loads):
            with tempfile.TemporaryDirectory() as folder:
                figures |= load(Path(folder), options)
    figures["disturbance"] = round((figures["disturbance"] + disturbance()) / 2, 2)
    return report("load", BARS, figures)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each steady load lasts")
    parser.add_argument("--soak", type=float, default=120.0, help="seconds")
    parser.add_argument("--file-mib", type=int, default=512)
    parser.add_argument("--only", nargs="*", help="names of loads: status mixed previews flight fair file upload soak")
    return parser.parse_args()


@contextmanager
def _serving(folder: Path, *, limit_mib: int = 200, **backend: object) -> Iterator[ServerProcess]:
    data = folder / "Data"
    data.mkdir(parents=True)
    (data / "Backends.fds").write_text(fake_backends(**backend), encoding="utf-8")
    network = replace(NetworkSettings(), max_network_request_megabytes=limit_mib)
    save_settings(ServerSettings(network=network), data / "Settings.fds")
    write_model(folder / "Models" / "Stable-Diffusion" / "tiny.safetensors")
    server = ServerProcess(folder, free_port(), log=folder / "server.log")
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def _mib(server: ServerProcess) -> float:
    return float(psutil.Process(server.child.pid).memory_info().rss) / 2**20


def _ms(seconds: list[float], percent: int) -> float:
    return round(percentile(seconds, percent) * 1000, 1)


# --- requests --------------------------------------------------------------------------------------------------------


def status(folder: Path, options: argparse.Namespace) -> Figures:
    """L1: a small question from 64 connections."""
    with _serving(folder) as server:
        session = session_of(server.base, "a")

        async def one(until: float) -> list[float]:
            seconds = []
            async with Wire(server.base) as wire:
                while (begun := time.perf_counter()) < until:
                    answered, _ = await wire.post("GetCurrentStatus", {"session_id": session})
                    if answered != 200:
                        raise RuntimeError(f"GetCurrentStatus was answered with {answered}.")
                    seconds.append(time.perf_counter() - begun)
            return seconds

        async def all_of_them(seconds: float) -> list[float]:
            until = time.perf_counter() + seconds
            return [each for many in await asyncio.gather(*(one(until) for _ in range(64))) for each in many]

        asyncio.run(all_of_them(1.0))  # warm
        found = asyncio.run(all_of_them(options.seconds))
    return {"status_rps": round(len(found) / options.seconds, 1), "status_p99_ms": _ms(found, 99)}


def mixed(folder: Path, options: argparse.Namespace) -> Figures:
    """L2: many users who mostly read."""
    with _serving(folder, MaxUsages=8) as server:
        load = Mixed(server.base)
        asyncio.run(load.run(options.seconds))
    return {
        "mixed_p95_ms": _ms(load.seconds, 95),
        "mixed_p99_ms": _ms(load.seconds, 99),
        "mixed_5xx": float(load.faults),
    }


# --- sockets ---------------------------------------------------------------------------------------------------------


def previews(folder: Path, options: argparse.Namespace) -> Figures:
    """L3: sockets that say nothing beside sockets with many previews."""
    with _serving(folder, StepMilliseconds=500, MaxUsages=500, PreviewKilobytes=20) as server:
        sessions = [session_of(server.base, f"user{number}") for number in range(50)]
        with probing(server.base, sessions[0]) as seconds:
            dropped = asyncio.run(_previews(server.base, sessions))
    return {"previews_dropped": float(dropped), "previews_loop_p99_ms": _ms(seconds, 99)}


async def _previews(base: str, sessions: list[str]) -> int:
    """How many of a thousand sockets were closed or did not hear everything."""
    address = base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    idle = [await connect(address, compression=None, proxy=None) for _ in range(500)]
    asked = [{**SMALL, "session_id": sessions[number % 50], "seed": number} for number in range(500)]

    async def one(number: int) -> list[tuple[float, dict[str, object]]]:
        await asyncio.sleep(number / 500)  # pictures of different people do not take their steps in the same moment
        return await generation(base, asked[number])

    heard = await asyncio.gather(*(one(number) for number in range(500)), return_exceptions=True)
    dropped = sum(1 for each in heard if isinstance(each, BaseException) or verdict([m for _, m in each], STEPS))
    for socket in idle:
        try:
            await asyncio.wait_for(await socket.ping(), 10)
        except Exception:  # noqa: BLE001 - whatever it is, the socket is gone
            dropped += 1
        await socket.close()
    return dropped


def flight(folder: Path, options: argparse.Namespace) -> Figures:
    """L4: two hundred pictures at once, each with a client that watches."""
    step = 0.25
    with _serving(folder, StepMilliseconds=int(step * 1000), MaxUsages=200) as server:
        sessions = [session_of(server.base, f"user{number}") for number in range(20)]
        asked = [{**SMALL, "session_id": sessions[number % 20], "seed": number} for number in range(200)]

        async def run() -> list[list[tuple[float, dict[str, object]]]]:
            return list(await asyncio.gather(*(generation(server.base, body) for body in asked)))

        heard = asyncio.run(run())
    wrong = sum(1 for each in heard if verdict([message for _, message in each], STEPS))
    lags = []
    for each in heard:
        moments: dict[float, float] = {}
        for moment, message in each:
            if isinstance(progress := message.get("gen_progress"), dict):
                moments.setdefault(progress["overall_percent"], moment)
        first = min(moments.values(), default=0.0)
        lags += [max(0.0, moment - first - number * step) for number, moment in enumerate(moments.values())]
    return {"flight_wrong": float(wrong), "flight_lag_p95_ms": _ms(lags, 95)}


def fair(folder: Path, options: argparse.Namespace) -> Figures:
    """L7: one who comes with a single wish after one with a thousand."""
    with _serving(folder, StepMilliseconds=10, MaxUsages=1) as server:
        return {"fair_jobs_before_b": float(asyncio.run(_before_b(server.base)))}


async def _before_b(base: str) -> int:
    address = base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    a, b = session_of(base, "a"), session_of(base, "b")
    many = {**SMALL, "session_id": a, "images": 1000}
    ended: list[float] = []

    async def watch(socket: object) -> None:
        async for message in socket:  # type: ignore[attr-defined]
            if '"image"' in str(message)[:200]:
                ended.append(time.perf_counter())

    async with connect(address, compression=None, max_size=None, proxy=None) as socket:
        await socket.send(json.dumps(many))
        watching = asyncio.create_task(watch(socket))
        while len(ended) < 3:
            await asyncio.sleep(0.01)
        asked = time.perf_counter()
        heard = await generation(base, {**SMALL, "session_id": b, "steps": 2})
        begun = min(moment for moment, message in heard if "gen_progress" in message)
        watching.cancel()
    return sum(1 for moment in ended if asked < moment < begun)


# --- bytes -----------------------------------------------------------------------------------------------------------


def file(folder: Path, options: argparse.Namespace) -> Figures:
    """L10: one big file to twenty clients."""
    size, marker = options.file_mib * 2**20, b"the middle of it"
    video = folder / "Output" / "local" / "raw" / "big.mp4"
    video.parent.mkdir(parents=True)
    with video.open("wb") as writing:
        writing.truncate(size)
        writing.seek(size // 2)
        writing.write(marker)
    with _serving(folder) as server:
        before, most = _mib(server), [0.0]

        async def one() -> int:
            async with Wire(server.base) as wire:
                answered, received, _ = await wire.get("/View/local/raw/big.mp4")
                most[0] = max(most[0], _mib(server))
                return int(answered != 200 or received != size)

        async def part() -> int:
            async with Wire(server.base) as wire:
                span = f"bytes={size // 2}-{size // 2 + 15}"
                return int(await wire.get("/View/local/raw/big.mp4", Range=span) != (206, 16, marker))

        async def watch() -> None:
            while True:
                most[0] = max(most[0], _mib(server))
                await asyncio.sleep(0.1)

        async def run() -> int:
            watching = asyncio.create_task(watch())
            wrong = sum(await asyncio.gather(*(one() for _ in range(20)), *(part() for _ in range(20))))
            watching.cancel()
            return wrong

        wrong = asyncio.run(run())
    return {"file_rss_mib": round(most[0] - before, 1), "file_wrong": float(wrong)}


def upload(folder: Path, options: argparse.Namespace) -> Figures:
    """L11: ten pictures just below the limit at once."""
    side = int((UPLOAD_LIMIT_MIB * 2**20 * 0.74 / 3) ** 0.5)
    noise = io.BytesIO()
    Image.frombytes("RGB", (side, side), os.urandom(side * side * 3)).save(noise, "PNG", compress_level=0)
    picture = "data:image/png;base64," + base64.b64encode(noise.getvalue()).decode()
    with _serving(folder, limit_mib=UPLOAD_LIMIT_MIB) as server:
        session, before, most = session_of(server.base, "a"), _mib(server), [0.0]

        async def one() -> int:
            async with Wire(server.base) as wire:
                answered, text = await wire.post("AddImageToHistory", {"session_id": session, "image": picture})
                return int(answered != 200 or b'"images"' not in text)

        async def watch() -> None:
            while True:
                most[0] = max(most[0], _mib(server))
                await asyncio.sleep(0.05)

        async def run() -> int:
            watching = asyncio.create_task(watch())
            wrong = sum(await asyncio.gather(*(one() for _ in range(10))))
            watching.cancel()
            return wrong

        with probing(server.base, session) as seconds:
            wrong = asyncio.run(run())
    return {
        "upload_rss_ratio": round((most[0] - before) / (10 * UPLOAD_LIMIT_MIB), 2),
        "upload_loop_p99_ms": _ms(seconds, 99),
        "upload_wrong": float(wrong),
    }


# --- a long while ----------------------------------------------------------------------------------------------------


def soak(folder: Path, options: argparse.Namespace) -> Figures:
    """L12, short: whether memory, open files or threads creep up."""
    samples: list[tuple[float, int, int]] = []
    with _serving(folder, MaxUsages=8) as server:
        load, process = Mixed(server.base), psutil.Process(server.child.pid)

        async def watch() -> None:
            while True:
                samples.append((_mib(server), process.num_fds(), process.num_threads()))
                await asyncio.sleep(0.5)

        async def run() -> None:
            watching = asyncio.create_task(watch())
            await load.run(options.soak, crashing=True)
            watching.cancel()

        asyncio.run(run())
    third = len(samples) // 3
    middle, last = samples[third : 2 * third], samples[2 * third :]

    def grown(which: int) -> float:
        return round(percentile([s[which] for s in last], 50) - percentile([s[which] for s in middle], 50), 1)

    return {
        "soak_rss_mib": grown(0),
        "soak_fds": grown(1),
        "soak_threads": grown(2),
        "soak_5xx": float(load.faults),
    }


if __name__ == "__main__":
    sys.exit(main())

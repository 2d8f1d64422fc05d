"""How fast the edge answers: `GetCurrentStatus` from many connections, and generation sockets for many clients at once.

    python -m benchmarks.requests [--connections 64] [--seconds 5] [--clients 200]

Starts a server of its own with the fake backend on loopback. Last line: {"status_rps", "ws_in_order", …}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

if not __package__:  # run as a file: let it find its neighbours, and not hide the library `requests`
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from websockets.asyncio.client import connect

from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, fake_backends, free_port

STEPS = 10


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "Data").mkdir()
        (folder / "Data" / "Backends.fds").write_text(fake_backends(StepMilliseconds=5, MaxUsages=64), encoding="utf-8")
        write_model(folder / "Models" / "Stable-Diffusion" / "tiny.safetensors")
        server = ServerProcess(folder, free_port(), log=folder / "server.log")
        try:
            server.wait_until_up()
            figures = measure(server.base, options)
        finally:
            server.stop()
    sys.stdout.write(json.dumps(figures) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--clients", type=int, default=200)
    return parser.parse_args()


def measure(base: str, options: argparse.Namespace) -> dict[str, Any]:
    with SwarmClient(base) as client:
        session = client.session_id
    asyncio.run(_status_load(base, session, options.connections, 1.0))  # warm
    count, latencies = asyncio.run(_status_load(base, session, options.connections, options.seconds))
    rps = count / options.seconds
    p99 = statistics.quantiles(latencies, n=100)[98] * 1000
    sys.stdout.write(
        f"GetCurrentStatus, {options.connections} connections: {rps:8.0f} requests/s, "
        f"median {statistics.median(latencies) * 1000:.1f} ms, p99 {p99:.1f} ms\n"
    )
    started = time.perf_counter()
    verdicts = asyncio.run(_sockets(base, session, options.clients))
    seconds = time.perf_counter() - started
    good = sum(1 for verdict in verdicts if verdict == "")
    sys.stdout.write(
        f"GenerateText2ImageWS, {options.clients} clients: {good} heard everything in order, "
        f"{options.clients / seconds:.1f} pictures/s\n"
    )
    for verdict in sorted({verdict for verdict in verdicts if verdict})[:5]:
        sys.stdout.write(f"  {verdict}\n")
    return {
        "status_rps": round(rps, 1),
        "status_p99_ms": round(p99, 2),
        "ws_in_order": good == options.clients,
        "ws_clients": options.clients,
        "ws_pictures_per_s": round(options.clients / seconds, 1),
    }


async def _status_load(base: str, session: str, connections: int, seconds: float) -> tuple[int, list[float]]:
    host, port = base.removeprefix("http://").split(":")
    body = json.dumps({"session_id": session}).encode()
    request = (
        f"POST /API/GetCurrentStatus HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    latencies: list[float] = []
    deadline = time.perf_counter() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection(host, int(port))
        while (begun := time.perf_counter()) < deadline:
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"Unexpected answer: {head[:80]!r}")
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - begun)
        writer.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return len(latencies), latencies


async def _sockets(base: str, session: str, clients: int) -> list[str]:
    return await asyncio.gather(*(_one_socket(base, session, number) for number in range(clients)))


async def _one_socket(base: str, session: str, seed: int) -> str:
    """Run one picture over a socket; "" when all was in order, else what was wrong."""
    address = base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    body = {"session_id": session, "images": 1, "prompt": "a", "model": "tiny", "seed": seed, "steps": STEPS}
    async with connect(address, compression=None, max_size=None, open_timeout=120, proxy=None) as socket:
        await socket.send(json.dumps(body))
        messages = [json.loads(message) async for message in socket]
    return _verdict(messages)


def _verdict(messages: list[dict[str, Any]]) -> str:
    kinds = [next(iter(message)) for message in messages]
    progress = [m["gen_progress"]["overall_percent"] for m in messages if "gen_progress" in m]
    if kinds[0] != "status" or kinds[-1] != "status":
        return f"does not begin and end with a status: {kinds[0]} … {kinds[-1]}"
    if kinds.count("image") != 1 or kinds.count("discard_indices") != 1:
        return f"{kinds.count('image')} images, {kinds.count('discard_indices')} discards"
    if len(progress) < STEPS or progress != sorted(progress):
        return f"{len(progress)} progress messages of {STEPS}, or not in order"
    last_progress = len(kinds) - 1 - kinds[::-1].index("gen_progress")
    if not last_progress < kinds.index("image") < kinds.index("discard_indices") < kinds.index("socket_intention"):
        return "messages out of order"
    return ""


if __name__ == "__main__":
    sys.exit(main())

"""Clients for load: plain HTTP over one kept connection, generation sockets, and a probe in a process of its own."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import httpx2
from websockets.asyncio.client import connect

REPOSITORY = Path(__file__).resolve().parents[1]


def session_of(base: str, user: str) -> str:
    """A new session of one of many users of an open server."""
    answer = httpx2.post(f"{base}/API/GetNewSession", json={}, headers={"X-SWARM-USER_ID": user}, trust_env=False)
    return str(answer.json()["session_id"])


class Wire:
    """HTTP/1.1 over one kept connection, with as little work per request as can be. Waits for whole answers."""

    def __init__(self, base: str) -> None:
        self.host, port = base.removeprefix("http://").split(":")
        self.port = int(port)

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port, limit=2**20)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def post(self, route: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """(status, body) of an API call."""
        data = json.dumps(body).encode()
        head = f"POST /API/{route} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        await self._writer.drain()
        status, length = await self._head()
        return status, await self._reader.readexactly(length)

    async def get(self, path: str, **headers: str) -> tuple[int, int, bytes]:
        """(status, bytes received, the first 16 of them); the rest is thrown away as it comes."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        self._writer.write(f"GET {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n{lines}\r\n".encode())
        status, length = await self._head()
        first, received = b"", 0
        while received < length:
            part = await self._reader.read(min(2**20, length - received))
            if not part:
                break
            first = first or part[:16]
            received += len(part)
        return status, received, first

    async def _head(self) -> tuple[int, int]:
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        length = head.split(b"content-length:")
        return int(head.split()[1]), int(length[1].split(b"\r\n")[0]) if len(length) > 1 else 0


async def generation(base: str, body: dict[str, Any]) -> list[tuple[float, dict[str, Any]]]:
    """Every message of a generation socket with the moment it came."""
    address = base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    async with connect(address, compression=None, max_size=None, open_timeout=120, proxy=None) as socket:
        await socket.send(json.dumps(body))
        return [(time.perf_counter(), json.loads(message)) async for message in socket]


def verdict(messages: list[dict[str, Any]], steps: int) -> str:
    """ "" when a request for one picture told everything in order, else what was wrong."""
    kinds = [next(iter(message)) for message in messages]
    progress = [m["gen_progress"]["overall_percent"] for m in messages if "gen_progress" in m]
    if "error" in kinds:
        return str(messages[kinds.index("error")])
    if kinds[:1] != ["status"] or kinds[-1:] != ["status"] or kinds.count("image") != 1:
        return f"{kinds.count('image')} images, from {kinds[:1]} to {kinds[-1:]}"
    if len(progress) < steps or progress != sorted(progress):
        return f"{len(progress)} progress messages of {steps}, or not in order"
    last = len(kinds) - 1 - kinds[::-1].index("gen_progress")
    if not last < kinds.index("image") < kinds.index("discard_indices"):
        return "messages out of order"
    return ""


@contextmanager
def probing(base: str, session: str) -> Iterator[list[float]]:
    """Ask for the status again and again from another process during the block; its answer times come at the end.

    What such a small question takes, beyond its own fraction of a millisecond, the event loop was busy with others.
    """
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.clients", base, session],
        cwd=REPOSITORY,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    child.stdout.readline()  # it has begun
    seconds: list[float] = []
    try:
        yield seconds
    finally:
        told, _ = child.communicate("\n", timeout=60)
        seconds += json.loads(told)


async def _probe(base: str, session: str) -> list[float]:
    done = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    seconds = []
    async with Wire(base) as wire:
        await wire.post("GetCurrentStatus", {"session_id": session})
        sys.stdout.write("\n")
        sys.stdout.flush()
        while not done.done():
            begun = time.perf_counter()
            await wire.post("GetCurrentStatus", {"session_id": session})
            seconds.append(time.perf_counter() - begun)
            await asyncio.sleep(0.01)
    return seconds


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(_probe(sys.argv[1], sys.argv[2]))) + "\n")

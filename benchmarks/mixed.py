"""Many users at once who mostly read, and somebody whose connections break."""

from __future__ import annotations

import asyncio
import json
import random
import time
from contextlib import suppress

from websockets.asyncio.client import connect

from benchmarks.clients import Wire, session_of

STEPS = 20
SMALL = {"images": 1, "prompt": "a", "model": "tiny", "steps": STEPS, "width": 64, "height": 64}


class Mixed:
    """50 users at once, each with a connection: mostly reading, sometimes making a picture or a preset."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.seconds: list[float] = []
        self.faults = 0

    async def run(self, seconds: float, *, crashing: bool = False) -> None:
        until = time.perf_counter() + seconds
        users = [self._user(number, until) for number in range(50)]
        await asyncio.gather(*users, *([self._crashing(until)] if crashing else []))

    async def _user(self, number: int, until: float) -> None:
        rng = random.Random(number)
        session = await asyncio.to_thread(session_of, self.base, f"user{number}")
        made: list[str] = []
        async with Wire(self.base) as wire:
            while time.perf_counter() < until:
                begun = time.perf_counter()
                await self._call(wire, rng, session, made)
                self.seconds.append(time.perf_counter() - begun)
                await asyncio.sleep(rng.uniform(0.05, 0.15))

    async def _call(self, wire: Wire, rng: random.Random, session: str, made: list[str]) -> None:
        about = {"session_id": session}
        kind = rng.random()
        if kind < 0.3 and made:
            answered, _, _ = await wire.get("/" + rng.choice(made))
        elif kind < 0.5:
            body = {**about, "path": "", "depth": 3, "sortBy": "Date", "sortReverse": False}
            answered, _ = await wire.post("ListImages", body)
        elif kind < 0.65:
            body = {**about, "path": "", "depth": 2, "subtype": "Stable-Diffusion"}
            answered, _ = await wire.post("ListModels", body)
        elif kind < 0.8:
            answered, _ = await wire.post("GetCurrentStatus", about)
        elif kind < 0.9:
            preset = {"title": f"one {rng.randrange(20)}", "description": "", "param_map": {"steps": "5"}}
            body = {**about, **preset, "is_edit": False, "raw": {}}
            answered, _ = await wire.post("AddNewPreset", body)
        else:
            answered, text = await wire.post("GenerateText2Image", {**about, **SMALL, "steps": 2})
            made += [part.decode() for part in text.split(b'"') if part.startswith(b"View/")]
            del made[:-50]
        self.faults += answered >= 500

    async def _crashing(self, until: float) -> None:
        """Somebody whose connection breaks in the middle of everything, again and again."""
        address = self.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
        session = await asyncio.to_thread(session_of, self.base, "crashing")
        while time.perf_counter() < until:
            with suppress(OSError):
                socket = await connect(address, compression=None, proxy=None)
                await socket.send(json.dumps({**SMALL, "session_id": session, "images": 2, "steps": 3}))
                await socket.recv()
                socket.transport.abort()
                _, writer = await asyncio.open_connection(*self._place())
                writer.write(b"POST /API/GetCurrentStatus HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
                await writer.drain()
                writer.transport.abort()
            await asyncio.sleep(0.2)

    def _place(self) -> tuple[str, int]:
        host, port = self.base.removeprefix("http://").split(":")
        return host, int(port)

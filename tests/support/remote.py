"""Servers that are backends of each other, and a wire between them that can be cut."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from swarm.starter import SHIPPED
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread


def backend_file(type_id: str, **settings: object) -> str:
    """A Backends file with one backend of this kind."""
    lines = [
        f"\t\t{key}: {str(value).lower() if isinstance(value, bool) else value}" for key, value in settings.items()
    ]
    return "\n".join(["0:", f"\ttype: {type_id}", "\ttitle: far", "\tenabled: true", "\tsettings:", *lines])


@contextmanager
def a_server(folder: Path, backends: str, *models: str, port: int | None = None) -> Iterator[SwarmClient]:
    """A real server with these backends and checkpoints."""
    (folder / "Data").mkdir(parents=True)
    (folder / "Data" / "starter-placed.txt").write_text("\n".join(SHIPPED), encoding="utf-8")
    (folder / "Data" / "Backends.fds").write_text(backends + "\n", encoding="utf-8")
    for name in models:
        write_model(folder / "Models" / "Stable-Diffusion" / f"{name}.safetensors")
    options = options_for(folder)
    options = options if port is None else replace(options, port=port)
    with server_in_thread(options) as base, SwarmClient(base) as client:
        yield client


def children(client: SwarmClient) -> list[dict[str, Any]]:
    """The backends that others have brought along."""
    return [one for one in client.post("ListBackends", nonreal=True, full_data=True).values() if one["id"] < 0]


def until_children(client: SwarmClient, count: int = 1) -> list[dict[str, Any]]:
    """Wait until that many of them run."""
    wait_for(lambda: len([one for one in children(client) if one["status"] == "running"]) >= count, 20)
    return [one for one in children(client) if one["status"] == "running"]


def wait_for(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "This did not come about in time."
        time.sleep(0.02)


class CutWire:
    """Passes bytes on to a port, and cuts connections: all at once with `cut`, or at random after some of the bytes.

    `chance`: that a piece of data is the last one of its connection. While `is_down` nobody gets through.
    """

    def __init__(self, target: int, random: Random, chance: float = 0.0) -> None:
        self._target = target
        self._random = random
        self.chance = chance
        self.is_down = False
        self.cuts = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Break everything that is open now."""
        for one in list(self._open):
            self._break(one)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                if self.is_down:
                    near.close()
                    continue
                try:
                    far = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    near.close()
                    continue
                self._open |= {near, far}
                for a, b in ((near, far), (far, near)):
                    threading.Thread(target=self._pass_on, args=(a, b), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if self._random.random() < self.chance:
                    self.cuts += 1
                    target.sendall(data[: len(data) // 2])
                    break
                target.sendall(data)
        self._break(source)
        self._break(target)

    def _break(self, one: socket.socket) -> None:
        self._open.discard(one)
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
        one.close()


@contextmanager
def cut_wire(target: int, random: Random, chance: float = 0.0) -> Iterator[CutWire]:
    wire = CutWire(target, random, chance)
    try:
        yield wire
    finally:
        wire.close()

"""Backends that are somewhere else and fail in every way, and a wire to them that breaks in the middle of a job."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.conftest import World
from tests.faults.ledger import check, pictures, until, wait_until_done
from tests.support.client import SwarmClient
from tests.support.remote import a_server, backend_file, cut_wire, until_children
from tests.support.server import fake_backends, free_port

SMALL = {"prompt": "a cat", "width": 64, "height": 64}
HTTP = (
    "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
)


def http(body: str, status: str = "200 OK", length: int | None = None) -> bytes:
    return HTTP.format(status=status, length=len(body) if length is None else length, body=body).encode()


BAD_ANSWERS = {
    "500": http('{"error": "no"}', "500 Internal Server Error"),
    "half a JSON": http('{"session_id": "abc', length=400),
    "no JSON": http("<html>Log in</html>"),
    "another program": http('{"hello": "world"}'),
    "not HTTP": b"\x00\x01\x02 this is something else\r\n\r\n",
    "nothing": b"",
    "session expired": http('{"error_id": "invalid_session_id", "error": "Invalid session ID."}', "401 Unauthorized"),
}


@contextmanager
def answering(data: bytes | None) -> Iterator[int]:
    """A port where every connection gets this and is closed; None: it gets nothing and stays open."""
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                line, _ = listener.accept()
                held.append(line)
                if data is not None:
                    line.settimeout(2)
                    with suppress(OSError):
                        line.recv(65536)
                        line.sendall(data)
                    line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        for line in held:
            line.close()


def file_of(addresses: dict[str, str]) -> str:
    """A fake backend, and one elsewhere for each address, which may take three seconds to answer."""
    parts = [fake_backends(StepMilliseconds=1)]
    for number, address in enumerate(addresses.values(), start=1):
        settings = {"Address": address, "ConnectionAttemptTimeoutSeconds": 3}
        parts.append(backend_file("swarmswarmbackend", **settings).replace("0:", f"{number}:", 1))
    return "\n".join(parts) + "\n"


@pytest.mark.case("F21")
def test_remotes_that_fail_in_every_way_hold_up_nobody(tmp_path: Path) -> None:
    with ExitStack() as stack:
        ports = {name: stack.enter_context(answering(data)) for name, data in BAD_ANSWERS.items()}
        addresses = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        addresses["TLS"] = f"https://127.0.0.1:{ports['nothing']}"
        addresses["refused"] = f"http://127.0.0.1:{free_port()}"
        addresses["no such name"] = "http://no-such-host.invalid:7801"
        addresses["stalls"] = f"http://127.0.0.1:{stack.enter_context(answering(None))}"
        client = stack.enter_context(a_server(tmp_path / "near", file_of(addresses), "tiny"))
        until(lambda: client.post("ListBackends")["0"]["status"] == "running")
        for _ in range(3):
            began = time.monotonic()
            assert "images" in client.generate(model="tiny", steps=1, **SMALL)
            assert time.monotonic() - began < 5
        until(lambda: all(one["status"] == "errored" for one in others(client)), 60, "The end of all attempts")
        assert [one for one in others(client) if not one.get("message", "").strip()] == []
        assert client.post("ListBackends")["0"]["status"] == "running"
        check(Place(tmp_path / "near"), client.base)


def others(client: SwarmClient) -> list[dict[str, str]]:
    return [one for one in client.post("ListBackends").values() if one["type"] != "fake"]


class Place(World):
    """The folder of a server that is there already."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "Data"
        self.models, self.outputs = folder / "Models", folder / "Output"


def port_of(client: SwarmClient) -> int:
    return urlsplit(client.base).port or 0


@pytest.mark.case("F22")
def test_a_wire_that_breaks_within_a_job_makes_one_picture(tmp_path: Path) -> None:
    with (
        a_server(tmp_path / "far", fake_backends(StepMilliseconds=100), "theirs") as far,
        cut_wire(port_of(far), Random(1)) as wire,
        a_server(
            tmp_path / "near", backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{wire.port}")
        ) as client,
    ):
        near = Place(tmp_path / "near")
        until_children(client)
        with client.socket("GenerateText2ImageWS") as line:
            line.send(
                json.dumps({"session_id": client.session_id, "images": 1, "model": "theirs", "steps": 15, **SMALL})
            )
            next(message for message in line if "gen_progress" in str(message))
            wire.is_down = True
            wire.cut()
            time.sleep(2.5)  # longer than the far server needs to make it
            wire.is_down = False
            told = [json.loads(message) for message in line]
        assert len([message for message in told if "image" in message]) == 1, told
        assert wait_until_done(near) == {"stored": 1}
        assert len([path for path in pictures(near) if path.suffix == ".png"]) == 1
        assert len(client.post("ListImages", path="", depth=5)["files"]) == 1
        assert not pictures(Place(tmp_path / "far"))
        check(near, client.base, swept=False)


@pytest.mark.case("F21")
def test_a_remote_that_has_forgotten_everything_is_used_on(tmp_path: Path) -> None:
    """It was replaced by another one at the same address: the session is no longer known there."""
    port = free_port()
    with ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(a_server(tmp_path / "first", fake_backends(), "tiny", port=port))
        backends = backend_file("swarmswarmbackend", Address=f"http://127.0.0.1:{port}")
        client = stack.enter_context(a_server(tmp_path / "near", backends))
        until_children(client)
        assert "images" in client.generate(model="tiny", steps=1, **SMALL)
        first.close()
        stack.enter_context(a_server(tmp_path / "second", fake_backends(), "tiny", port=port))
        until(lambda: "images" in client.generate(model="tiny", steps=1, **SMALL))
        near = Place(tmp_path / "near")
        assert wait_until_done(near)["stored"] == 2
        check(near, client.base, swept=False)

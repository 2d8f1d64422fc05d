"""Paths that lead out, pages of other sites, sockets that misbehave: refused against a running server."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import time
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.conftest import World
from tests.support.client import SwarmClient

SECRET = b"the secret outside of every served folder"
SMALL = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
TRAVERSALS = [
    "../secret.png",
    "..%2fsecret.png",
    "%2e%2e%2fsecret.png",
    "%252e%252e%252fsecret.png",
    "..%5csecret.png",
    "..\\secret.png",
    "..%c0%afsecret.png",
    "....//secret.png",
    "..;/secret.png",
    "raw/../../../secret.png",
    "raw%2f..%2f..%2f..%2fsecret.png",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "C:\\Windows\\win.ini",
    "C:%5cWindows%5cwin.ini",
    "%5c%5chost%5cshare%5cx.png",
    "//host/share/x.png",
    "file:///etc/passwd",
    "~root/x.png",
    "secret.png%00.png",
    "x%2500.png",
    ".git/config",
    "CON.png",
    "link.png",
    "linked/secret.png",
    "a" * 5000 + ".png",
    "\u2024\u2024/secret.png",
    "..\uff0fsecret.png",
]


@pytest.fixture
def trap(world: World, client: SwarmClient) -> SwarmClient:
    """A server whose output folder holds a picture and links that lead out; the secret lies beside and above."""
    assert "images" in client.generate(**SMALL)
    for folder in (world.folder, world.outputs):
        (folder / "secret.png").write_bytes(SECRET)
    own = world.outputs / "local"
    (own / "link.png").symlink_to(world.folder / "secret.png")
    (own / "linked").symlink_to(world.folder, target_is_directory=True)
    return client


def fetch(base: str, target: str) -> tuple[int, bytes]:
    """GET exactly this request target, without a client library tidying it up first."""
    where = urlsplit(base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
    try:
        connection.putrequest("GET", target, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def snapshot(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("swarm.db-wal", "swarm.db-shm", "index.db-wal", "index.db-shm")
    }


@pytest.mark.case("T01", "T02")
@pytest.mark.parametrize(
    "prefix", ["/View/local/", "/View/", "/Output/", "/ViewSpecial/Stable-Diffusion/", "/css/", "/"]
)
def test_no_path_leads_out_of_what_is_served(trap: SwarmClient, prefix: str) -> None:
    for path in TRAVERSALS:
        target = prefix + quote(path, safe="%/\\:;~.")
        status, body = fetch(trap.base, target.replace("\\", "%5c"))
        assert SECRET not in body and b"root:" not in body, target
        assert status in (302, 307, 400, 403, 404), (target, status)
        assert b"Traceback" not in body and str(Path.cwd()).encode() not in body
    assert len(trap.generate(**SMALL)["images"]) == 1


@pytest.mark.case("T10")
@pytest.mark.parametrize("route", ["DeleteImage", "ToggleImageStarred"])
def test_routes_that_take_a_path_touch_nothing_outside(world: World, trap: SwarmClient, route: str) -> None:
    before = snapshot(world.folder)
    for path in [*TRAVERSALS, "../../Data/swarm.db", "../../Models/Stable-Diffusion/tiny.safetensors", ""]:
        answer = trap.post(route, path=path)
        assert "error" in answer, (path, answer)
        assert str(world.folder) not in json.dumps(answer)
    after = snapshot(world.folder)
    assert {name: after.get(name) for name in before if not name.startswith("Data/")} == {
        name: value for name, value in before.items() if not name.startswith("Data/")
    }


@pytest.mark.case("T11")
@pytest.mark.parametrize(
    "template", ["../../x", "/etc/x", "C:\\x", "..\\..\\x", "[model]/../../../x", ".hidden/x", "a\0b"]
)
def test_output_templates_stay_inside_the_users_folder(world: World, client: SwarmClient, template: str) -> None:
    answer = client.generate(**SMALL, overrideoutpathformat=template)
    assert list(answer) in (["images"], ["error"])
    found = list(world.folder.rglob("*.png"))
    assert all(path.is_relative_to(world.outputs / "local") for path in found)


def test_another_users_pictures_need_permission(client: SwarmClient) -> None:
    (url,) = client.generate(**SMALL)["images"]
    mine = client.http.get(f"/{url}")
    assert mine.status_code == 200
    assert "sandbox" in mine.headers["content-security-policy"]
    assert client.http.get("/View/nobody/raw/x.png").status_code in (400, 404)


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Host": "evil.example"},
    {"Host": "127.0.0.1.evil.example"},
]


@pytest.mark.case("T40", "T41", "T43")
@pytest.mark.parametrize("headers", FOREIGN)
def test_pages_of_other_sites_are_refused(client: SwarmClient, headers: dict[str, str]) -> None:
    answer = client.http.post("/API/GetNewSession", json={}, headers=headers)
    assert answer.status_code in (400, 403, 421)
    assert "session_id" not in answer.text
    address = client.base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS"
    with pytest.raises(InvalidStatus) as refused, connect(address, additional_headers=headers, proxy=None):
        pass
    assert refused.value.response.status_code in (400, 403, 421)


def test_a_page_of_our_own_may_call(client: SwarmClient) -> None:
    headers = {"Origin": client.base, "Sec-Fetch-Site": "same-origin"}
    assert "session_id" in client.http.post("/API/GetNewSession", json={}, headers=headers).json()


GARBAGE = ["", "not json", "[]", "null", '"x"', "{", '{"a":1,}', "\x00", "[" * 100_000]


@pytest.mark.case("I2")
@pytest.mark.parametrize("text", GARBAGE, ids=lambda text: repr(text[:12]))
def test_a_socket_that_sends_garbage_is_told_and_closed(client: SwarmClient, text: str) -> None:
    with client.socket("GenerateText2ImageWS") as line:
        line.send(text)
        told = json.loads(line.recv(timeout=20))
        assert told in (
            {"error_id": "internal_error", "error": "An internal error occurred"},
            {"error_id": "basic_api", "error": "null input"},
        )
        with pytest.raises(Exception, match="1000"):
            line.recv(timeout=20)
    assert len(client.generate(**SMALL)["images"]) == 1


@pytest.mark.case("I2")
@pytest.mark.parametrize("text", [text for text in GARBAGE if text], ids=lambda text: repr(text[:12]))
def test_a_post_that_is_no_json_object_is_told(client: SwarmClient, text: str) -> None:
    answer = client.http.post("/API/GetNewSession", content=text.encode(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error_id"] in ("internal_error", "basic_api")


def test_garbage_within_a_running_socket_costs_only_a_message(client: SwarmClient) -> None:
    with client.socket("GenerateText2ImageWS") as line:
        line.send(json.dumps({"session_id": client.session_id, "images": 1, **SMALL}))
        line.send("what is this")
        messages = [json.loads(text) for text in line]
    assert any("error" in message for message in messages)
    assert any("image" in message for message in messages)


def test_silent_and_vanishing_sockets_hold_nobody_up(client: SwarmClient) -> None:
    where = urlsplit(client.base)
    silent = [socket.create_connection((where.hostname or "", where.port or 0)) for _ in range(50)]
    for number, line in enumerate(silent):
        if number % 2:
            line.sendall(b"GET /API/GenerateText2ImageWS HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n")
    for _ in range(10):
        with client.socket("GenerateText2ImageWS") as line_:
            line_.send(json.dumps({"session_id": client.session_id, "images": 3, **SMALL}))
    begun = time.monotonic()
    assert len(client.generate(**SMALL)["images"]) == 1
    assert time.monotonic() - begun < 10
    for line in silent:
        line.close()

"""Requests of this server to others, with servers on this machine that nobody must reach: names, hops, keys, bodies."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import Any

import pytest

from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.outgoing import Outgoing
from tests.support.client import SwarmClient

INSIDE = (
    *("127.0.0.1", "localhost", "0", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "127.1", "017700000001"),
    *("169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.0.1", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"),
    *("metadata.google.internal", "[2002:7f00:1::]", "0.0.0.0", "255.255.255.255", "[::]"),
)
ODD = (
    *(
        "file:///etc/passwd",
        "ftp://huggingface.co/x",
        "gopher://huggingface.co/x",
        "data:text/plain,x",
        "//huggingface.co/x",
    ),
    *("http://a@127.0.0.1/", "http://huggingface.co@evil.example/", "https://huggingface.co:443@evil.example/"),
    *(
        "https://huggingface.co\r\nHost: evil.example/",
        "https://huggingface.co\\@evil.example/",
        "https://hugging face.co/",
    ),
    *(
        "https://huggingface.co.evil.example/",
        "https://evilhuggingface.co/",
        "https://huggingface.co:22/x",
        "http://[::1",
    ),
    *("https://evil.example/#huggingface.co", "https://evil.example?huggingface.co"),
)


class Canary:
    """A web server on loopback that remembers who called. `answer`: what it says."""

    def __init__(self, address: str = "127.0.0.1", port: int = 0) -> None:
        self.heard: list[dict[str, str]] = []
        self.answer: Callable[[BaseHTTPRequestHandler], None] = lambda request: request.send_error(404)
        canary = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                canary.heard.append(
                    {name.lower(): value for name, value in self.headers.items()} | {":path": self.path}
                )
                canary.answer(self)

            def do_POST(self) -> None:
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Canary:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def canary() -> Iterator[Canary]:
    with Canary() as made:
        yield made


def says(body: bytes = b"fine", status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content_length": str(len(body)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(body)

    return answer


async def read(outgoing: Outgoing, url: str, **about: Any) -> bytes:
    async with outgoing.get(url, **about) as answer:
        return b"".join([chunk async for chunk in answer.body])


@pytest.mark.case("T30")
@pytest.mark.anyio
@pytest.mark.parametrize("name", INSIDE)
async def test_no_spelling_reaches_inside(canary: Canary, name: str) -> None:
    strict = Outgoing(ports=None)
    with pytest.raises((UserError, OSError)) as caught:
        await read(strict, f"http://{name}:{canary.port}/")
    assert getattr(caught.value, "error_id", None) == "blocked_address" or isinstance(caught.value, OSError)
    with pytest.raises((UserError, OSError)):
        await strict.post(f"http://{name}:{canary.port}/", b"{}", headers={}, seconds=5)
    assert canary.heard == []


@pytest.mark.case("T31")
@pytest.mark.anyio
@pytest.mark.parametrize("name", [*INSIDE, "file:///etc/passwd", "ftp:"])
async def test_no_redirect_leads_inside(canary: Canary, name: str) -> None:
    """The first hop is allowed, as an address of its own; where it leads is not."""
    outgoing = Outgoing(allowed=lambda address: address == ip_address("127.0.0.9"), ports=None)
    target = name if name.startswith(("file", "ftp")) else f"http://{name}:{canary.port}/landed"
    with Canary("127.0.0.9") as allowed:
        allowed.answer = says(b"", 302, location=target)
        with pytest.raises((UserError, OSError)):
            await read(outgoing, f"http://127.0.0.9:{allowed.port}/")
        assert len(allowed.heard) == 1
    assert canary.heard == []


@pytest.mark.case("T31")
@pytest.mark.anyio
async def test_a_circle_of_redirects_ends(canary: Canary) -> None:
    canary.answer = says(b"", 302, location="/again")
    with pytest.raises(Refused, match="redirects too often"):
        await read(Outgoing(allowed=lambda _: True, ports=None), f"http://127.0.0.1:{canary.port}/")
    assert len(canary.heard) < 12


@pytest.mark.case("T32")
@pytest.mark.anyio
async def test_a_name_that_changes_its_mind_wins_nothing(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are looked up by a resolver that answers what is allowed first and what is not ever after."""
    answers = iter(["127.0.0.1"])
    asked: list[str] = []
    real = socket.getaddrinfo

    def resolver(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        if host != "turncoat.example":
            return real(host, port, *args, **named)
        asked.append(host)
        return real(next(answers, "127.0.0.9"), port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    canary.answer = says()
    only_first = Outgoing(allowed=lambda address: address == ip_address("127.0.0.1"), ports=None)
    with Canary("127.0.0.9", canary.port) as inside:
        assert await read(only_first, f"http://turncoat.example:{canary.port}/") == b"fine"
        assert len(asked) == 1
        with pytest.raises(UserError) as caught:
            await read(only_first, f"http://turncoat.example:{canary.port}/")
        assert caught.value.error_id == "blocked_address" and inside.heard == []
    assert len(canary.heard) == 1


@pytest.mark.case("T32")
@pytest.mark.anyio
async def test_one_address_inside_spoils_a_name(canary: Canary, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def resolver(host: Any, port: Any, *args: Any, **named: Any) -> Any:
        both = real("1.1.1.1", port, *args, **named) + real("127.0.0.1", port, *args, **named)
        return both if host == "both.example" else real(host, port, *args, **named)

    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    with pytest.raises(UserError) as caught:
        await read(Outgoing(ports=None), f"http://both.example:{canary.port}/")
    assert caught.value.error_id == "blocked_address" and canary.heard == []


@pytest.mark.case("T33")
@pytest.mark.anyio
@pytest.mark.parametrize("url", ODD)
async def test_odd_addresses_are_not_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(*args: Any, **named: Any) -> Any:
        raise AssertionError("it was looked up")

    monkeypatch.setattr(socket, "getaddrinfo", nobody)
    with pytest.raises((BadInput, Refused)):
        await read(Outgoing(), url, hosts=["huggingface.co"])


@pytest.mark.case("T34")
@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_keys_stay_with_their_origin(canary: Canary, status: int) -> None:
    """Another port is another origin; and one that comes back later does not get them again."""
    outgoing = Outgoing(allowed=lambda _: True, ports=None)
    secrets = {"Authorization": "Bearer secret", "Cookie": "token=secret"}
    with ExitStack() as stack:
        other = stack.enter_context(Canary())
        canary.answer = says(b"", status, location=f"http://127.0.0.1:{other.port}/other")
        other.answer = says(b"", status, location=f"http://127.0.0.1:{canary.port}/back")
        with pytest.raises(Refused):
            await read(outgoing, f"http://127.0.0.1:{canary.port}/", headers=secrets)
        assert "secret" in canary.heard[0]["authorization"]
        assert other.heard and not any("secret" in value for heard in other.heard for value in heard.values())
        assert not any("secret" in value for heard in canary.heard[1:] for value in heard.values())
        canary.answer = says(b"", 401, www_authenticate=f'Bearer realm="http://127.0.0.1:{other.port}/token"')
        before = len(other.heard)
        await read(outgoing, f"http://127.0.0.1:{canary.port}/", headers=secrets)
        assert len(other.heard) == before


@pytest.mark.case("T35")
@pytest.mark.anyio
async def test_a_packed_answer_is_not_unpacked(canary: Canary) -> None:
    bomb = gzip.compress(bytes(10 * 1024 * 1024))
    canary.answer = says(bomb, content_encoding="gzip")
    assert await read(Outgoing(allowed=lambda _: True, ports=None), f"http://127.0.0.1:{canary.port}/") == bomb
    assert canary.heard[0]["accept-encoding"] == "identity"


@pytest.mark.case("T36", "T33")
@pytest.mark.parametrize(
    "url",
    [
        *("https://civitai.com.evil.example/", "https://civitai.com@evil.example/", "https://civitai.com:8443/api"),
        *("https://evil.example/https://civitai.com/", "http://civitai.com/api", "https://civitai.com\\@evil.example/"),
        *(
            "https://civitai.com/../../../@evil.example",
            "//civitai.com/",
            "https://CIVITAI.COM.evil.example/api",
            "file:///",
        ),
    ],
)
def test_metadata_comes_from_its_one_host(client: SwarmClient, url: str) -> None:
    answer = client.post("ForwardMetadataRequest", url=url)
    assert list(answer) in (["error"], ["error", "error_id"], ["error_id", "error"]), answer

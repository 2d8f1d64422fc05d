"""Downloads from a server on this machine, with a policy that lets it; and the strict policy against every trick."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from itertools import count
from pathlib import Path

import pytest

from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.base.database import Database
from swarm.base.errors import BadInput, Refused, UserError
from swarm.base.outgoing import Outgoing, is_host_of, is_public, split_url
from swarm.base.registry import collect
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from swarm.catalog.transfer import Progress
from tests.support.models import write_model

SD = "Stable-Diffusion"
Answering = Callable[[BaseHTTPRequestHandler], None]


class Host:
    """A web server on loopback. `answer`: what it does with a GET; `asked`: (path, headers) of each."""

    def __init__(self) -> None:
        self.answer: Answering = lambda request: request.send_error(404)
        self.asked: list[tuple[str, dict[str, str]]] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host.asked.append((self.path, {key.lower(): value for key, value in self.headers.items()}))
                host.answer(self)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def host() -> Iterator[Host]:
    made = Host()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    architectures = collect(families, Architecture)
    made = Catalog([tmp_path / "Models"], architectures, Database(tmp_path / "c.db", durable=False), lambda: 1.0)
    made.refresh()
    return made


@pytest.fixture
def model(tmp_path: Path) -> bytes:
    return write_model(tmp_path / "made.safetensors").read_bytes()


def open_door() -> Outgoing:
    return Outgoing(allowed=lambda address: True, ports=None)


def downloads(catalog: Catalog, *, free: int = 1 << 50, outgoing: Outgoing | None = None) -> Downloads:
    return Downloads(
        catalog, outgoing or open_door(), lambda: 0.0, hosts=lambda: ["127.0.0.1"], free=lambda _: free, pause=0
    )


def sends(data: bytes, status: int = 200, **headers: str) -> Answering:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        for name, value in {"content_length": str(len(data)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return answer


async def fetched(one: Downloads, url: str, metadata: str | None = None, name: str = "sub/got it") -> list[Progress]:
    wanted = one.wanted(url, SD, name, metadata, {})
    return [step async for step in one.fetch(wanted)]


def leftovers(catalog: Catalog) -> list[str]:
    return [path.name for path in catalog.download_folder(SD).parent.rglob("*") if path.is_file()]


@pytest.mark.anyio
async def test_a_model_arrives_with_its_metadata(host: Host, catalog: Catalog, model: bytes) -> None:
    host.answer = sends(model)
    steps = await fetched(downloads(catalog), f"{host.url}/x.safetensors", json.dumps({"modelspec.title": "T"}))
    assert steps[0].to_wire() == {"current_percent": 0.0, "overall_percent": 0.2, "per_second": 0}
    entry = catalog.find(SD, "sub/got_it")
    assert entry is not None
    assert entry.title == "T"
    assert entry.path.read_bytes() == model
    assert sorted(leftovers(catalog)) == ["got_it.safetensors", "got_it.swarm.json"]
    with pytest.raises(BadInput, match="Model at that save path already exists"):
        await fetched(downloads(catalog), host.url)


@pytest.mark.anyio
@pytest.mark.case("F24")
async def test_a_broken_download_is_taken_up_where_it_broke(host: Host, catalog: Catalog, model: bytes) -> None:
    half = len(model) // 2

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("range") == f"bytes={half}-" and request.headers.get("if-range") == '"tag"':
            sends(model[half:], 206, content_range=f"bytes {half}-{len(model) - 1}/{len(model)}")(request)
        else:
            sends(model[:half], content_length=str(len(model)), etag='"tag"')(request)

    def patched(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        answer(request)

    host.answer = patched
    await fetched(downloads(catalog), host.url)
    assert len(host.asked) >= 2
    entry = catalog.find(SD, "sub/got_it")
    assert entry is not None
    assert entry.path.read_bytes() == model


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"<!DOCTYPE html><html>please log in</html>", "is a web page"),
        (b"PK\x03\x04 a pickle", "pickled checkpoint"),
        (b"\x80\x02 another", "pickled checkpoint"),
        (b"", "is empty"),
        (b"GGUF\x03\0\0\0" + bytes(16), "another format"),
    ],
)
@pytest.mark.case("F24", "T20")
async def test_only_models_are_kept(host: Host, catalog: Catalog, data: bytes, sentence: str) -> None:
    host.answer = sends(data)
    with pytest.raises(UserError, match=sentence):
        await fetched(downloads(catalog), f"{host.url}/evil.ckpt")
    assert leftovers(catalog) == []


@pytest.mark.anyio
@pytest.mark.case("F24")
@pytest.mark.case("T35")
async def test_failures_are_sentences_and_leave_nothing(host: Host, catalog: Catalog, model: bytes) -> None:
    with pytest.raises(UserError, match=r"^Failed to download URL: got response code 404 NotFound$"):
        await fetched(downloads(catalog), host.url)
    host.answer = sends(model, x_linked_etag=f'"{sha256(b"other").hexdigest()}"')
    with pytest.raises(UserError, match="hash"):
        await fetched(downloads(catalog), host.url)
    host.answer = sends(model)
    with pytest.raises(UserError, match="not enough room"):
        await fetched(downloads(catalog, free=1000), host.url)
    host.answer = lambda request: sends(b"", 302, location="/again")(request)
    with pytest.raises(UserError, match="redirects too often"):
        await fetched(downloads(catalog), host.url)
    host.answer = sends(model, content_length=str(len(model) + 10**15))
    with pytest.raises(UserError, match="too large"):
        await fetched(downloads(catalog), host.url)
    assert leftovers(catalog) == []


@pytest.mark.anyio
@pytest.mark.case("T35")
async def test_a_trickle_and_more_than_was_announced_end(host: Host, catalog: Catalog, model: bytes) -> None:
    def trickle(request: BaseHTTPRequestHandler) -> None:
        sends(b"", content_length="1000000")(request)
        with suppress(OSError):
            for _ in range(50):
                request.wfile.write(b"x")
                request.wfile.flush()
                time.sleep(0.01)

    host.answer = trickle
    ticks = count(step=10.0)
    slow = Downloads(catalog, open_door(), lambda: next(ticks), hosts=lambda: ["127.0.0.1"], pause=0)
    with pytest.raises(UserError, match="too slowly"):
        await fetched(slow, host.url)

    def endless(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        request.send_response(200)
        request.end_headers()
        with suppress(OSError):
            for _ in range(200):
                request.wfile.write(bytes(1024 * 1024))

    host.answer = endless
    room = count(start=1 << 40, step=-(1 << 38))  # the disk fills while it comes
    full = Downloads(
        catalog, open_door(), lambda: 0.0, hosts=lambda: ["127.0.0.1"], free=lambda _: max(0, next(room)), pause=0
    )
    with pytest.raises(UserError, match="not enough room"):
        await fetched(full, host.url, name="endless")
    assert not [name for name in leftovers(catalog) if name.endswith(".safetensors")]


def resumable(model: bytes, tag: str = '"tag"', **headers: str) -> Answering:
    """Sends half of the file and breaks off; sends the rest to those who ask for it, of the same file."""
    half = len(model) // 2

    def answer(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        if request.headers.get("range") == f"bytes={half}-" and request.headers.get("if-range") == tag:
            ranged = {"content_range": f"bytes {half}-{len(model) - 1}/{len(model)}", "etag": tag, **headers}
            sends(model[half:], 206, **ranged)(request)
        else:
            sends(model[:half], 200, content_length=str(len(model)), etag=tag, **headers)(request)

    return answer


def breaks_off(model: bytes, tag: str = '"tag"') -> Answering:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.close_connection = True
        sends(model[: len(model) // 2], content_length=str(len(model)), etag=tag)(request)

    return answer


@pytest.mark.anyio
async def test_what_was_fetched_is_taken_up_after_a_restart(host: Host, catalog: Catalog, model: bytes) -> None:
    host.answer = breaks_off(model)
    with pytest.raises(UserError, match="expected"):
        await fetched(downloads(catalog), f"{host.url}/x?token=one")
    assert sorted(leftovers(catalog)) == ["got_it.safetensors.part", "got_it.safetensors.part.json"]
    assert "token" not in (catalog.download_folder(SD) / "sub/got_it.safetensors.part.json").read_text()
    host.asked.clear()
    host.answer = resumable(model, x_linked_etag=f'"{sha256(model).hexdigest()}"')
    await fetched(downloads(catalog), f"{host.url}/x?token=another")
    assert [headers["range"] for _, headers in host.asked] == [f"bytes={len(model) // 2}-"]
    entry = catalog.find(SD, "sub/got_it")
    assert entry is not None
    assert entry.path.read_bytes() == model
    assert leftovers(catalog) == ["got_it.safetensors"]


@pytest.mark.anyio
async def test_a_file_that_has_changed_meanwhile_is_fetched_anew(host: Host, catalog: Catalog, model: bytes) -> None:
    one = downloads(catalog)
    for url, later in ((f"{host.url}/x", sends(model)), (f"{host.url}/x", sends(b"", 416)), (f"{host.url}/y", None)):
        host.answer = breaks_off(model)
        with pytest.raises(UserError):
            await fetched(one, f"{host.url}/x", name="a")
        host.asked.clear()
        answers = iter([later, sends(model)] if later is not None else [sends(model)])
        host.answer = lambda request, answers=answers: next(answers)(request)  # type: ignore[misc]
        await fetched(one, url, name="a")
        entry = catalog.find(SD, "a")
        assert entry is not None
        assert entry.path.read_bytes() == model
        entry.path.unlink()
    assert "range" not in host.asked[0][1]


@pytest.mark.anyio
@pytest.mark.case("F24")
async def test_a_resumed_file_of_another_hash_is_thrown_away(host: Host, catalog: Catalog, model: bytes) -> None:
    host.answer = breaks_off(model)
    with pytest.raises(UserError):
        await fetched(downloads(catalog), host.url)
    host.answer = resumable(model, x_linked_etag=f'"{sha256(b"other").hexdigest()}"')
    with pytest.raises(UserError, match="hash"):
        await fetched(downloads(catalog), host.url)
    assert leftovers(catalog) == []


@pytest.mark.anyio
async def test_leaving_early_keeps_what_was_fetched_until_nobody_wants_it(
    host: Host, catalog: Catalog, model: bytes
) -> None:
    clock = count()
    host.answer = sends(model, etag='"tag"')
    one = Downloads(catalog, open_door(), lambda: next(clock), hosts=lambda: ["127.0.0.1"], free=lambda _: 1 << 50)
    wanted = one.wanted(host.url, SD, "a", None, {})
    steps = one.fetch(wanted)
    await anext(steps)
    await anext(steps)
    one.discard(wanted)
    assert "a.safetensors.part" in leftovers(catalog), "it is being fetched"
    await steps.aclose()
    assert (wanted.target.parent / "a.safetensors.part").stat().st_size > 0
    assert catalog.names(SD) == []
    one.discard(wanted)
    assert leftovers(catalog) == []
    await fetched(one, host.url, name="a")


@pytest.mark.parametrize(
    ("url", "type", "name", "metadata", "sentence"),
    [
        ("ftp://huggingface.co/x", SD, "a", None, "Invalid URL."),
        ("file:///etc/passwd", SD, "a", None, "Invalid URL."),
        ("https://huggingface.co/x", "Nothing", "a", None, "Invalid type."),
        ("https://huggingface.co/x", SD, "../..", None, "Invalid empty name."),
        ("https://huggingface.co/x", SD, "a", "[1]", "not a JSON object"),
        ("https://huggingface.co/x", SD, "a", "{broken", "not a JSON object"),
    ],
)
def test_bad_requests_are_refused(
    catalog: Catalog, url: str, type: str, name: str, metadata: str | None, sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        downloads(catalog).wanted(url, type, name, metadata, {})


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\..\\evil", "C:\\evil", "a/../../../evil", "a\0b"])
def test_names_stay_below_the_models(catalog: Catalog, name: str) -> None:
    wanted = downloads(catalog).wanted("https://huggingface.co/x", SD, name, None, {})
    assert wanted.target.is_relative_to(catalog.download_folder(SD))


def test_gguf_checkpoints_have_a_folder_of_their_own(catalog: Catalog) -> None:
    wanted = downloads(catalog).wanted("https://huggingface.co/x?y=1#.gguf", SD, "a", None, {})
    assert (wanted.target.parent.name, wanted.target.name) == ("diffusion_models", "a.gguf")
    assert wanted.url == "https://huggingface.co/x?y=1"


@pytest.mark.case("T34")
def test_keys_go_to_the_service_they_are_for(catalog: Catalog) -> None:
    keys = {"civitai_api": "c1\r\nX: y", "huggingface_api": "h1"}
    one = downloads(catalog)
    assert one.wanted("https://civitai.com/a?b=1", SD, "a", None, keys).url == "https://civitai.red/a?b=1&token=c1X y"
    hugging = one.wanted("https://huggingface.co/a", SD, "a", None, keys)
    assert hugging.headers == {"authorization": "Bearer h1"}
    assert not one.wanted("https://huggingface.co.evil.tld/a", SD, "a", None, keys).headers
    assert not one.wanted("http://huggingface.co/a", SD, "a", None, keys).headers


@pytest.mark.parametrize(
    "address",
    [
        *(
            "127.0.0.1",
            "10.1.2.3",
            "192.168.0.1",
            "172.16.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "224.0.0.1",
        ),
        *("::1", "::", "fd00::1", "fe80::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1"),
        *("255.255.255.255", "240.0.0.1", "198.18.0.1"),
    ],
)
def test_private_addresses_are_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_public_addresses_are(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.case("T30")
@pytest.mark.anyio
@pytest.mark.parametrize(
    "name", ["127.0.0.1", "localhost", "0", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"]
)
async def test_no_spelling_of_this_machine_gets_through(host: Host, catalog: Catalog, name: str) -> None:
    port = host.server.server_port
    strict = Outgoing(ports=None)
    with pytest.raises(UserError) as caught:
        async with strict.get(f"http://{name}:{port}/"):
            pass
    assert caught.value.error_id == "blocked_address"
    assert host.asked == []


@pytest.mark.case("T31", "T34")
@pytest.mark.anyio
async def test_redirects_are_checked_at_every_hop_and_lose_secrets(host: Host) -> None:
    port = host.server.server_port

    def answer(request: BaseHTTPRequestHandler) -> None:
        if request.path == "/away":
            sends(b"", 302, location=f"http://localhost:{port}/landed")(request)
        else:
            sends(b"fine")(request)

    host.answer = answer
    async with open_door().get(f"{host.url}/away", headers={"Authorization": "Bearer s"}) as answered:
        assert b"".join([chunk async for chunk in answered.body]) == b"fine"
    (_, first), (_, second) = host.asked
    assert first["authorization"] == "Bearer s"
    assert "authorization" not in second
    with pytest.raises(Refused, match="not allowed"):
        async with open_door().get(f"{host.url}/away", hosts=["127.0.0.1"]):
            pass
    only_v4 = Outgoing(allowed=lambda address: address == ip_address("127.0.0.2"), ports=None)
    with pytest.raises(Refused, match="private network"):
        async with only_v4.get(f"{host.url}/away"):
            pass


@pytest.mark.case("T33")
@pytest.mark.parametrize(
    "url",
    [
        *("http://a@127.0.0.1/", "http://huggingface.co@evil/", "gopher://x/", "data:text/plain,x", "http://a b/"),
        *(
            "http://x\r\ny/",
            "http://x\\y/",
            "http:///",
            "https://[::1/",
            "http://x:99999/",
            "http://é/",
            "javascript:1",
        ),
    ],
)
def test_odd_addresses_are_invalid(url: str) -> None:
    with pytest.raises(BadInput, match="Invalid URL"):
        split_url(url)


@pytest.mark.case("T33")
@pytest.mark.anyio
@pytest.mark.parametrize("url", ["http://huggingface.co:22/", "https://huggingface.co.evil.tld/", "http://10.0.0.1/"])
async def test_other_hosts_and_ports_are_refused_unasked(url: str) -> None:
    with pytest.raises(UserError) as caught:
        async with Outgoing().get(url, hosts=["huggingface.co"]):
            pass
    assert caught.value.error_id == "blocked_address"


def test_a_host_stands_for_its_sub_domains_only() -> None:
    assert is_host_of("cdn-lfs.HuggingFace.co.", ["huggingface.co"])
    assert not is_host_of("evilhuggingface.co", ["huggingface.co"])
    assert not is_host_of("x.tld", ["", " "])
    assert is_host_of("x.tld", ["*"])


@pytest.mark.anyio
async def test_json_of_another_server(host: Host, catalog: Catalog) -> None:
    host.answer = sends(b'{"a": 1}')
    assert await downloads(catalog).json(host.url, hosts=["127.0.0.1"]) == {"a": 1}
    host.answer = sends(b"<html>")
    with pytest.raises(BadInput):
        await downloads(catalog).json(host.url, hosts=["127.0.0.1"])

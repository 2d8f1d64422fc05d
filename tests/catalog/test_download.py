"""Downloads from a server on this machine, with a policy that lets it: what is kept, and what is refused."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from itertools import count

import pytest

from swarm.base.errors import BadInput, UserError
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from tests.catalog.download_host import SD, Host, downloads, fetched, leftovers, open_door, sends


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


@pytest.mark.anyio
async def test_json_of_another_server(host: Host, catalog: Catalog) -> None:
    host.answer = sends(b'{"a": 1}')
    assert await downloads(catalog).json(host.url, hosts=["127.0.0.1"]) == {"a": 1}
    host.answer = sends(b"<html>")
    with pytest.raises(BadInput):
        await downloads(catalog).json(host.url, hosts=["127.0.0.1"])

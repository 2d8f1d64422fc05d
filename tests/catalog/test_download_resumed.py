"""Downloads that broke off, and are taken up again."""

from __future__ import annotations

from hashlib import sha256
from http.server import BaseHTTPRequestHandler
from itertools import count

import pytest

from swarm.base.errors import UserError
from swarm.catalog.catalog import Catalog
from swarm.catalog.download import Downloads
from tests.catalog.download_host import SD, Answering, Host, downloads, fetched, leftovers, open_door, sends


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

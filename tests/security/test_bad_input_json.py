"""JSON that is none, and JSON that is too much: told with status 400 or a sentence, by every door, and soon."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psutil
import pytest

from swarm.settings.file import save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.raw import TEXT, close_code, dial, exchange, frame, head, status_of, until_closed, upgrade
from tests.support.server import ServerProcess, free_port

MEBIBYTE = 2**20
LIMIT = 2 * MEBIBYTE
JSON = "Content-Type: application/json"
INTERNAL = {"error_id": "internal_error", "error": "An internal error occurred"}
SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of its own that takes 2 MiB at once."""
    world = World(tmp_path_factory.mktemp("json"))
    world.backends(StepMilliseconds=0)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    network = replace(NetworkSettings(), max_network_request_megabytes=2)
    save_settings(ServerSettings(network=network), world.data / "Settings.fds")
    process = ServerProcess(world.folder, free_port(), log=world.folder / "log")
    try:
        process.wait_until_up()
        yield process
    finally:
        process.stop()


@pytest.fixture(scope="module")
def client(server: ServerProcess) -> Iterator[SwarmClient]:
    with SwarmClient(server.base) as made:
        assert made.session_id
        yield made


def post(client: SwarmClient, route: str, text: bytes) -> tuple[int, Any]:
    headers = {"Content-Type": "application/json", "X-Session-ID": client.session_id}
    answer = client.http.post(f"/API/{route}", content=text, headers=headers)
    return answer.status_code, answer.json()


NO_JSON = {
    "null": b"null",
    "a list": b"[]",
    "a text": b'"x"',
    "a number": b"1",
    "true": b"true",
    "a trailing comma": b'{"steps":1,}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "a comment": b'{"steps":1} // one',
    "a comment before": b"/* */ {}",
    "NaN": b'{"steps":NaN}',
    "Infinity": b'{"steps":Infinity}',
    "minus Infinity": b'{"cfgscale":-Infinity}',
    "a number without end": b'{"cfgscale":1e400}',
    "ten thousand digits": b'{"seed":' + b"9" * 10_000 + b"}",
    "a lone surrogate": b'{"prompt":"\\ud800"}',
    "the other surrogate": b'{"prompt":"\\udc00 x"}',
    "a surrogate in a key": b'{"\\ud800":1}',
    "UTF-16": '{"a":1}'.encode("utf-16"),
    "UTF-32": '{"a":1}'.encode("utf-32"),
    "single quotes": b"{'a':1}",
    "no quotes": b"{a:1}",
    "a leading zero": b'{"steps":01}',
    "hexadecimal": b'{"steps":0x10}',
    "a plus": b'{"steps":+1}',
    "no digit": b'{"cfgscale":.5}',
    "two objects": b"{}{}",
    "a raw NUL": b'{"prompt":"\x00"}',
    "half": b'{"prompt":"a',
    "only blanks": b"   ",
    "a form": b"prompt=a&steps=1",
    "XML": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
    "a pickle": b"\x80\x04\x95\x10\x00.",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xab\xae\x05\x00\x43\xbf\xa6\xa3\x02\x00\x00\x00",
}

READ_ALL_THE_SAME = {
    "broken UTF-8": (b'"a\xff\xfe"', "a\ufffd\ufffd"),
    "overlong UTF-8": (b'"\xc0\xaf"', "\ufffd\ufffd"),
    "a raw line break": (b'"a\nb"', "a\nb"),
}
"""What strict JSON forbids and SwarmUI takes: some shells send it."""


@pytest.mark.case("I2")
@pytest.mark.parametrize(("text", "meant"), READ_ALL_THE_SAME.values(), ids=READ_ALL_THE_SAME)
def test_texts_that_shells_write_are_read(client: SwarmClient, text: bytes, meant: str) -> None:
    body = b'{"model":"tiny","images":1,"steps":1,"width":64,"height":64,"donotsave":true,"prompt":' + text + b"}"
    status, answer = post(client, "GenerateText2Image", body)
    assert status == 200 and len(answer["images"]) == 1
    status, answer = post(client, "TestPromptFill", b'{"prompt":' + text + b"}")
    assert (status, answer.get("result")) == (200, meant)


@pytest.mark.case("I2")
def test_a_text_message_that_is_no_utf8_ends_the_socket(client: SwarmClient) -> None:
    with upgrade(client.base, "/API/GenerateText2ImageWS", f"X-Session-ID: {client.session_id}") as line:
        line.sendall(frame(1, b'{"prompt":"\xff\xfe"}'))
        assert close_code(until_closed(line)) == 1007


@pytest.mark.case("I2")
@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
@pytest.mark.parametrize("route", ["GetCurrentStatus", "GenerateText2Image", "GetNewSession", "ChangeUserSettings"])
def test_what_is_no_json_object_is_told(client: SwarmClient, route: str, text: bytes) -> None:
    assert post(client, route, text) == (400, INTERNAL)


@pytest.mark.case("I2")
@pytest.mark.parametrize("text", NO_JSON.values(), ids=NO_JSON)
def test_sockets_say_the_same(client: SwarmClient, text: bytes) -> None:
    """Text that is no UTF-8 is against the protocol; binary messages are read like text."""
    for opcode in (1, 2):
        with upgrade(client.base, "/API/GenerateText2ImageWS", f"X-Session-ID: {client.session_id}") as line:
            line.sendall(frame(opcode, text))
            answer = until_closed(line)
            assert b"An internal error occurred" in answer or close_code(answer) == 1007, opcode
            assert close_code(answer) in (1000, 1007)


@pytest.mark.case("I2")
def test_of_keys_that_come_twice_the_last_counts(client: SwarmClient) -> None:
    text = b'{"session_id":"wrong","images":5,"session_id":"%s","images":1,' % client.session_id.encode()
    status, answer = post(client, "GenerateText2Image", text + json.dumps(SMALL).encode()[1:])
    assert status == 200 and len(answer["images"]) == 1


# --- I3 -------------------------------------------------------------------------------------------------------------


def filled(client: SwarmClient, size: int) -> bytes:
    """A request of exactly this many bytes."""
    start = json.dumps({"session_id": client.session_id, "images": 1, **SMALL, "personalnote": ""}).encode()
    return start[:-2] + b"x" * (size - len(start)) + b'"}'


@pytest.mark.case("I3")
def test_the_limit_is_exact_and_told_before_anything_is_read(server: ServerProcess, client: SwarmClient) -> None:
    assert len(post(client, "GenerateText2Image", filled(client, LIMIT - 1))[1]["images"]) == 1
    over = head("POST", "/API/GenerateText2Image", JSON, f"Content-Length: {LIMIT + 1}")
    answer = exchange(server.base, over + b"{")
    assert status_of(answer) == 400 and b"bad content length" in answer


LENGTHS = {
    "200 MB": ["Content-Length: 209715200"],
    "more than 64 bits": ["Content-Length: 99999999999999999999999"],
    "negative": ["Content-Length: -5"],
    "a sign": ["Content-Length: +5"],
    "hexadecimal": ["Content-Length: 0x10"],
    "twice, different": ["Content-Length: 5", "Content-Length: 6"],
    "a list": ["Content-Length: 5, 6"],
    "none at all": [],
    "chunked": ["Transfer-Encoding: chunked"],
    "chunked and a length": ["Transfer-Encoding: chunked", "Content-Length: 5"],
    "a length and chunked": ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "an unknown coding": ["Transfer-Encoding: gzip, chunked", "Content-Length: 5"],
    "an obfuscated coding": ["Transfer-Encoding: xchunked", "Content-Length: 5"],
    "gzip": ["Content-Encoding: gzip", "Content-Length: 5"],
}


@pytest.mark.case("I3")
@pytest.mark.case("I12")
@pytest.mark.parametrize("lines", LENGTHS.values(), ids=LENGTHS)
def test_lengths_that_cannot_be_are_refused(server: ServerProcess, lines: list[str]) -> None:
    for body in (b"{    ", b"5\r\n{    \r\n0\r\n\r\n"):
        answer = exchange(
            server.base, head("POST", "/API/GetNewSession", JSON, "Connection: close", *lines) + body, timeout=2
        )
        assert status_of(answer) in (0, 400) and b"session_id" not in answer


@pytest.mark.case("I3")
def test_endless_bodies_take_no_memory(server: ServerProcess) -> None:
    """Too long by what it says, and longer than it says, ten at once."""
    process = psutil.Process(server.child.pid)
    before = process.memory_info().rss

    def send(length: str) -> None:
        with dial(server.base, timeout=3) as line:
            try:
                line.sendall(head("POST", "/API/GetNewSession", JSON, length) + b'{"a":"')
                for _ in range(300):
                    line.sendall(b"x" * 65536)
            except (ConnectionError, TimeoutError):
                return

    kinds = ("Content-Length: 200000000", "Transfer-Encoding: chunked", "Content-Length: 100")
    senders = [threading.Thread(target=send, args=(kind,)) for kind in kinds * 4]
    for sender in senders:
        sender.start()
    highest = before
    while any(sender.is_alive() for sender in senders):
        highest = max(highest, process.memory_info().rss)
        time.sleep(0.02)
    assert highest - before < 24 * MEBIBYTE
    with SwarmClient(server.base) as other:
        assert other.session_id


# --- I4 -------------------------------------------------------------------------------------------------------------

NESTED = [(b"[", b"]"), (b'{"a":', b"}")]


@pytest.mark.case("I4")
@pytest.mark.parametrize("depth", [65, 500, 1024, 1025, 100_000])
@pytest.mark.parametrize("brackets", NESTED, ids=["lists", "objects"])
def test_deep_nesting_ends_in_a_sentence(client: SwarmClient, depth: int, brackets: tuple[bytes, bytes]) -> None:
    opening, closing = brackets
    deep = opening * depth + (b"1" if opening != b"[" else b"") + closing * depth
    for route, start in [
        ("GenerateText2Image", b'{"images":1,"prompt":'),
        ("AddNewPreset", b'{"title":"x","description":"","param_map":{"prompt":'),
        ("SetStarredModels", b'{"LoRA":'),
        ("ChangeUserSettings", b'{"settings":{"language":'),
        ("GetMyUserData", b'{"ignored":'),
    ]:
        text = start + deep + (b"}}" if start.count(b"{") == 2 else b"}")
        begun = time.perf_counter()
        status, answer = post(client, route, text)
        assert time.perf_counter() - begun < 1
        assert status == 200 or (status == 400 and answer == INTERNAL), route
        if route in ("GenerateText2Image", "AddNewPreset") or depth > 1024:
            assert "error" in answer, route
        if "error" in answer and status == 200:
            assert len(answer["error"]) < 500 and "recursion" not in answer["error"]


@pytest.mark.case("I4")
def test_wide_objects_and_long_keys_are_no_trouble(client: SwarmClient) -> None:
    wide = b'{"images":1,' + b",".join(b'"%d":%d' % (n, n) for n in range(120_000)) + b"}"
    long = b'{"images":1,"' + b"k" * (LIMIT - 1000) + b'":1}'
    for route in ("GenerateText2Image", "GetMyUserData", "SetParamEdits", "ChangeUserSettings", "CountTokens"):
        for text in (wide, long):
            begun = time.perf_counter()
            status, answer = post(client, route, text)
            assert time.perf_counter() - begun < 2, route
            assert status == 200 and len(str(answer.get("error", ""))) < 1000, route


@pytest.mark.case("I4")
def test_a_deep_message_within_a_running_socket(client: SwarmClient) -> None:
    with upgrade(client.base, "/API/GenerateText2ImageWS", f"X-Session-ID: {client.session_id}") as line:
        line.sendall(frame(TEXT, b'{"images":1,"prompt":"a cat","model":"tiny","steps":1}'))
        line.sendall(frame(TEXT, b'{"images":1,"prompt":' + b"[" * 1000 + b"]" * 1000 + b"}"))
        line.sendall(frame(TEXT, b'{"images":1,"prompt":' + b"[" * 100_000))
        answer = until_closed(line)
    assert close_code(answer) == 1000 and b"levels deep" in answer and b"valid JSON" in answer

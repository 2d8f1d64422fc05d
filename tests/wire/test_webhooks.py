"""Web hooks as a receiver sees them: when, what, signed how, and tried again (swarm-core 9.1)."""

from __future__ import annotations

import hmac
import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.base.database import Database
from swarm.base.errors import BadInput
from swarm.base.outgoing import Outgoing
from swarm.generation.hook_body import hook_body
from swarm.generation.hook_sender import HookSender
from swarm.media.image import Picture
from swarm.queue.deliveries import MOST_WAITING, DeliveryStore
from swarm.settings.server import WebHookSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64}


@dataclass
class Heard:
    """One request that came in."""

    event: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """A real HTTP server. `statuses`: what it answers, first come first served; 200 afterwards."""

    port: int = 0
    heard: queue.Queue[Heard] = field(default_factory=queue.Queue)
    statuses: list[int] = field(default_factory=list)
    pause: float = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def next(self, seconds: float = 10.0) -> Heard:
        return self.heard.get(timeout=seconds)

    def events(self, count: int) -> list[str]:
        return [self.next().event for _ in range(count)]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            time.sleep(made.pause)
            made.heard.put(Heard(event=headers["x-swarm-event"], headers=headers, body=body))
            self.send_response(made.statuses.pop(0) if made.statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield made
    server.shutdown()
    server.server_close()


def hooks(world: World, receiver: Receiver, **settings: str) -> None:
    lines = [f"    {name}: {value.replace('URL', receiver.url)}" for name, value in settings.items()]
    lines.append(f"    LocalHosts: 127.0.0.1:{receiver.port}")
    (world.data / "Settings.fds").write_text("\n".join(["WebHooks:", *lines, ""]), encoding="utf-8")


def test_work_begins_and_ends_and_the_server_too(world: World, receiver: Receiver, serve: Serve) -> None:
    hooks(
        world,
        receiver,
        ServerStartWebhook="URL",
        ServerStartWebhookData='{"it": "runs %seed%"}',
        QueueStartWebhook="URL",
        QueueEndWebhook="URL",
        QueueEndDelay="0.2",
    )
    client = serve()
    started = receiver.next()
    assert (started.event, started.json) == ("serverstart", {"it": "runs %seed%"})
    assert started.headers["user-agent"].startswith("SwarmUI/") and "x-swarm-signature" not in started.headers
    for _ in range(2):
        assert "images" in client.generate(**SMALL)
        assert receiver.events(2) == ["queuestart", "queueend"]
    assert receiver.heard.empty()


def test_pictures_are_told_as_their_request_wants(world: World, receiver: Receiver, serve: Serve) -> None:
    hooks(
        world,
        receiver,
        EveryGenWebhook="URL",
        EveryGenWebhookData='{"at": "%image%", "p": "%prompt%", "odd": "%nothing%", "n": %seed%, "b": "%batch_id%"}',
        ManualGenWebhook="URL",
        Secret="hush",
    )
    client = serve()
    (url,) = client.generate(**{**SMALL, "prompt": 'a "quoted" cat/dog'})["images"]
    heard = receiver.next()
    assert heard.event == "everygen"
    told = heard.json
    assert told["at"].endswith(url.replace(" ", "%20")) and told["at"].startswith("http://127.0.0.1:")
    assert (told["p"], told["odd"], told["n"], told["b"]) == ('a "quoted" cat/dog', "%nothing%", 5, "")
    assert client.http.get(told["at"]).status_code == 200
    signed = heard.headers["x-swarm-timestamp"].encode() + b"." + heard.body
    assert heard.headers["x-swarm-signature"] == "sha256=" + hmac.new(b"hush", signed, sha256).hexdigest()

    client.generate(**SMALL, webhooks="None")
    client.generate(**SMALL, webhooks="Manual")
    assert sorted(receiver.events(2)) == ["everygen", "manualgen"]
    client.post("GenerateText2Image", **{**SMALL, "images": 2, "webhooks": "Manual At End"})
    assert sorted(receiver.events(3)) == ["everygen", "everygen", "manualgen"]
    assert receiver.heard.empty()


def test_the_picture_itself_can_go_along(world: World, receiver: Receiver, serve: Serve) -> None:
    hooks(world, receiver, EveryGenWebhook="URL", EveryGenWebhookData='[discord_image]{"content": "%prompt%"}')
    client = serve()
    client.generate(**SMALL)
    heard = receiver.next()
    assert heard.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'{"content": "a cat"}' in heard.body and b'filename="image.png"' in heard.body
    assert b"\x89PNG\r\n" in heard.body


def test_a_receiver_that_fails_is_tried_again_and_holds_nobody_up(
    world: World, receiver: Receiver, serve: Serve
) -> None:
    hooks(world, receiver, EveryGenWebhook="URL")
    receiver.statuses = [500]
    client = serve()
    assert "images" in client.generate(**SMALL)
    first, second = receiver.next(), receiver.next(10)
    assert first.headers["x-swarm-delivery"] == second.headers["x-swarm-delivery"]


def test_addresses_of_the_own_network_need_to_be_allowed(world: World, receiver: Receiver, serve: Serve) -> None:
    hooks(world, receiver, EveryGenWebhook="URL", QueueStartWebhook="URL")
    text = (world.data / "Settings.fds").read_text().replace("LocalHosts", "Elsewhere")
    (world.data / "Settings.fds").write_text(text)
    client = serve()
    assert "images" in client.generate(**SMALL)
    with pytest.raises(queue.Empty):
        receiver.next(1.0)


def test_the_secret_is_never_shown(world: World, receiver: Receiver, serve: Serve) -> None:
    hooks(world, receiver, Secret="hush")
    client: SwarmClient = serve()
    shown = client.post("ListServerSettings")["settings"]["webhooks"]["value"]
    assert shown["secret"]["value"] == "\t<secret>" and "hush" not in json.dumps(shown)
    assert (shown["queueenddelay"]["value"], shown["everygenwebhook"]["type"]) == (1.0, "text")


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": %prompt%}'])
def test_data_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        hook_body(text, {"prompt": 'x"'})


def test_a_body_without_a_picture_is_plain_json() -> None:
    assert hook_body("").data == b"{}"
    assert hook_body('[discord_image]{"a": "%x%"}', {"x": "1/2"}).data == b'{"a": "1\\/2"}'
    made = hook_body("[discord_image]", {}, Picture(data=b"abc", mime="image/webp"))
    assert made.data.count(made.type.rpartition("=")[2].encode()) == 3 and b"image.webp" in made.data


@pytest.mark.anyio
async def test_messages_outlive_the_server_and_are_given_up_in_the_end(tmp_path: Path, receiver: Receiver) -> None:
    settings = WebHookSettings(local_hosts=f"127.0.0.1:{receiver.port}")
    receiver.statuses = [503, 503, 503]
    with closing(Database(tmp_path / "d.db", durable=False)) as database:
        store = DeliveryStore(database, time.time)
        store.add("everygen", receiver.url, "application/json", b"{}")
        again = DeliveryStore(database, time.time)
        sender = HookSender(lambda: settings, again, Outgoing(), time.time, version="1", pauses=(0.05, 0.05))
        async with anyio.create_task_group() as group:
            group.start_soon(sender.run)
            with anyio.fail_after(10):
                while receiver.heard.qsize() < 3 or again.due():
                    await anyio.sleep(0.05)
            await anyio.sleep(0.3)
            group.cancel_scope.cancel()
        assert receiver.heard.qsize() == 3


def test_only_so_many_wait(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "d.db", durable=False)) as database:
        store = DeliveryStore(database, lambda: 0.0)
        for number in range(MOST_WAITING + 3):
            store.add("everygen", "http://x", "t", str(number).encode())
        assert store.due(1)[0].body == b"3"

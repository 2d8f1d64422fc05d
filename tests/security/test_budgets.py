"""Requests and users that want more than their share of time and disk, and storms of interrupts."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.server import ServerSettings
from tests.security.worlds import MEBIBYTE, SMALL, wait_until, world_of
from tests.support.accounts import Owner
from tests.support.client import SwarmClient
from tests.support.raw import (
    TEXT,
    dial,
    frame,
    upgrade,
)
from tests.support.server import options_for, server_in_thread

CLOSED = ServerSettings(user_authorization=AuthorizationSettings(authorization_required=True))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    """An open server in this process."""
    world = world_of(tmp_path_factory.mktemp("thread"), ServerSettings())
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


# --- T74 ------------------------------------------------------------------------------------------------------------

BOMBS: dict[str, dict[str, Any]] = {
    "a thousand million pictures": {"images": 10**9},
    "more than 32 bits of pictures": {"images": 10**12},
    "16k by 16k": {"width": 16384, "height": 16384},
    "16k by 16k in one text": {"rawresolution": "16384x16384"},
    "16k by 16k in the prompt": {"prompt": "<param[width]:16384><param[height]:16384> a cat"},
    "16k by 16k by refining": {"width": 8192, "height": 8192, "refinercontrolpercentage": 0.2, "refinerupscale": 4},
    "a million loras": {"loras": ["extra"] * 1_000_000},
    "a million lora weights": {"loras": "extra", "loraweights": ",".join(["1"] * 1_000_000)},
    "a hundred thousand lora tags": {"prompt": "<lora:extra>" * 100_000},
    "a thousand million repeats": {"prompt": "<repeat[1000000000]:cat>"},
    "repeats of repeats": {"prompt": "<repeat[1000]:" * 5 + "cat" + ">" * 5},
    "macros that double": {
        "prompt": "<setmacro[a]:cat cat>"
        + "".join(f"<setmacro[{chr(98 + n)}]:<macro:{chr(97 + n)}><macro:{chr(97 + n)}>>" for n in range(24))
        + "<macro:y>"
    },
    "a macro of itself": {"prompt": "<setmacro[a]:<macro:a><macro:a>><macro:a>"},
    "ten thousand random inside another": {"prompt": "<random:" * 10_000 + "a,b" + ">" * 10_000},
    "steps beyond number": {"steps": 10**30},
}


@pytest.mark.case("T74")
@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_bombs_are_refused_at_once(client: SwarmClient, bomb: dict[str, Any]) -> None:
    """An answer within a moment, and nothing in work afterwards. Reading megabytes of JSON is part of the moment."""
    begun = time.perf_counter()
    answer = client.post("GenerateText2Image", **{"images": 1, **SMALL, "donotsave": True, **bomb})
    assert time.perf_counter() - begun < 5
    refused = isinstance(answer.get("error"), str) and len(answer["error"]) < 1000
    assert refused or len(answer["images"]) == 1
    if "random" not in json.dumps(bomb) and "<macro:a><macro:a>" not in json.dumps(bomb):
        assert refused, "this can only be too much"
    assert client.post("GetCurrentStatus")["status"]["waiting_gens"] == 0


@pytest.mark.case("T74")
def test_others_are_answered_while_a_bomb_unfolds(client: SwarmClient) -> None:
    words = ",".join(f"word{n}" for n in range(2000))
    slow = {**SMALL, "prompt": f"<repeat[40]:<random:{words}>>", "donotsave": True}
    with SwarmClient(client.base) as other:
        other.post("GetCurrentStatus")
        thread = threading.Thread(target=lambda: [client.generate(**slow) for _ in range(5)])
        thread.start()
        waits = []
        while thread.is_alive():
            begun = time.perf_counter()
            other.post("GetCurrentStatus")
            waits.append(time.perf_counter() - begun)
        thread.join()
    assert statistics.median(waits) < 0.1


@pytest.mark.case("T74")
@pytest.mark.case("I9")
def test_a_user_may_have_so_much_work_waiting_and_no_more(tmp_path: Path) -> None:
    world = world_of(tmp_path, ServerSettings(), StepMilliseconds=20)
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client, SwarmClient(base) as other:
        limit = {"performance.maxgigapixelstepsperuser": 0.01}  # 10 million pixel steps
        assert client.post("ChangeServerSettings", settings=limit) == {"success": True}
        much = {**SMALL, "width": 256, "height": 256, "steps": 20}  # 1.3 million each
        answer = client.post("GenerateText2Image", images=9, **much)
        assert "too much work" in answer["error"] and "0.01" in answer["error"]
        with client.socket("GenerateText2ImageWS") as line:
            line.send(json.dumps({"session_id": client.session_id, "images": 7, **much}))
            wait_until(lambda: client.post("GetCurrentStatus")["status"]["waiting_gens"] == 7)
            assert "too much work" in client.post("GenerateText2Image", images=1, **much)["error"]
            someone = other.raw("GetNewSession", {}, **{"X-SWARM-USER_ID": "someone"}).json()["session_id"]
            made = other.raw("GenerateText2Image", {"session_id": someone, "images": 1, **much}).json()
            assert len(made["images"]) == 1
            assert sum("image" in json.loads(message) for message in line) == 7
        assert len(client.post("GenerateText2Image", images=7, **much)["images"]) == 7


# --- T75 ------------------------------------------------------------------------------------------------------------


def noise(side: int) -> str:
    """A picture that does not get smaller, as a data URL."""
    buffer = BytesIO()
    Image.frombytes("RGB", (side, side), random.Random(side).randbytes(side * side * 3)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.mark.case("T75")
def test_one_user_cannot_fill_the_disk(tmp_path: Path) -> None:
    world = world_of(tmp_path, CLOSED)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as owner:
        limit = {"paths.maxdiskmegabytesperuser": 2}
        assert owner.post("ChangeServerSettings", settings=limit) == {"success": True}
        with owner.invite("alice", "user") as alice, owner.invite("bob", "user") as bob:
            picture, added = noise(400), []  # half a megabyte
            for _ in range(8):
                answer = alice.post("AddImageToHistory", image=picture, prompt="noise")
                if "error" in answer:
                    break
                added.append(answer["images"][0]["image"])
            assert len(added) in (3, 4) and "2 MiB" in answer["error"] and "Delete some" in answer["error"]
            assert size_of(world.outputs / "alice") <= 2 * MEBIBYTE
            starred = alice.post("ToggleImageStarred", path=added[0].removeprefix("View/alice/"))
            assert "2 MiB" in starred["error"]
            assert "images" in bob.generate(**SMALL)
            for side in (150, 20):  # to the brim
                while "error" not in alice.post("AddImageToHistory", image=noise(side), prompt="noise"):
                    continue
            with alice.socket("GenerateText2ImageWS") as line:
                line.send(json.dumps({"session_id": alice.session_id, "images": 1, **SMALL}))
                told = [json.loads(message) for message in line]
            assert ["2 MiB" in message["error"] for message in told if "error" in message] == [True]
            assert size_of(world.outputs / "alice") <= 2 * MEBIBYTE
            assert alice.post("DeleteImage", path=added[0].removeprefix("View/alice/")) == {"success": True}
            assert "images" in alice.generate(**SMALL)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.case("T75")
def test_what_a_user_keeps_beside_pictures_has_an_end(client: SwarmClient) -> None:
    """Small values of their own, each with a limit; and a total for presets."""
    large = {"name": ["x" * 5 * MEBIBYTE]}
    calls: list[tuple[str, dict[str, Any]]] = [
        ("SetStarredModels", large),
        ("SetPresetLinks", large),
        ("SetParamEdits", {"edits": large}),
        ("SetAPIKey", {"keyType": "civitai_api", "key": "k" * 5 * MEBIBYTE}),
        ("SetAPIKey", {"keyType": "made_up_service", "key": "k"}),
        ("AddNewPreset", {"title": "x", "description": "", "param_map": {"prompt": "x" * 5 * MEBIBYTE}}),
        ("AddNewPreset", {"title": "x", "description": "y" * 5 * MEBIBYTE, "param_map": {}}),
        ("AddNewPreset", {"title": "x" * 100_000, "description": "", "param_map": {}}),
    ]
    for route, body in calls:
        answer = client.post(route, **body)
        assert "error" in answer or "preset_fail" in answer, (route, str(answer)[:200])
    assert client.post("GetMyUserData")["presets"] == []


# --- T77 ------------------------------------------------------------------------------------------------------------


@pytest.mark.case("T77")
def test_a_storm_of_interrupts_leaves_a_consistent_ledger(tmp_path: Path) -> None:
    """Every promised picture ends exactly once; what is called stored is on disk, and nothing else is."""
    world = world_of(tmp_path, ServerSettings(), StepMilliseconds=1)
    with server_in_thread(options_for(world.folder)) as base, ExitStack() as stack:
        clients = [stack.enter_context(SwarmClient(base)) for _ in range(4)]
        sessions = [client.session_id for client in clients]
        stop = time.monotonic() + 4
        storms = [
            *(threading.Thread(target=interrupt_all, args=(base, session, stop)) for session in sessions),
            *(threading.Thread(target=come_and_go, args=(base, session, stop)) for session in sessions[:2]),
        ]
        announced: list[str] = []
        makers = [threading.Thread(target=make, args=(client, stop, announced)) for client in clients]
        for thread in (*storms, *makers):
            thread.start()
        for thread in (*storms, *makers):
            thread.join(60)
        # A socket that was left in its handshake is read later, and what it asks for counts from then on.
        wait_until(lambda: len(connections(base)) <= len(clients), 60)
        wait_until(lambda: not any(clients[0].post("GetGlobalStatus")["status"].values()), 60)
        announced += clients[0].generate(**SMALL)["images"]
    with closing(sqlite3.connect(world.data / "swarm.db")) as database:
        rows = database.execute("SELECT state, outcome FROM jobs").fetchall()
        bodies = database.execute("SELECT COUNT(*) FROM job_bodies").fetchone()[0]
    states = Counter(state for state, _ in rows)
    assert set(states) <= {"stored", "cancelled", "failed"} and bodies == 0
    assert states["cancelled"] > 20
    stored = [url for state, outcome in rows if state == "stored" for url in outcome.split("\n")]
    assert len(stored) == len(set(stored))
    on_disk = {f"View/{path.relative_to(world.outputs).as_posix()}" for path in world.outputs.rglob("*.png")}
    assert set(announced) <= on_disk and set(stored) <= on_disk
    assert not list(world.outputs.rglob("*.tmp*"))


def connections(base: str) -> list[Any]:
    """The server's ends of its connections, those too that it has not yet taken up or not yet seen closed."""
    port, alive = int(base.rpartition(":")[2]), (psutil.CONN_ESTABLISHED, psutil.CONN_CLOSE_WAIT)
    return [
        end for end in psutil.net_connections("tcp") if getattr(end.laddr, "port", 0) == port and end.status in alive
    ]


def interrupt_all(base: str, session: str, stop: float) -> None:
    with SwarmClient(base) as client:
        while time.monotonic() < stop:
            answer = client.raw("InterruptAll", {"session_id": session, "other_sessions": random.random() < 0.1})
            assert answer.json() == {"success": True}


def come_and_go(base: str, session: str, stop: float) -> None:
    """Sockets that ask for pictures and are gone, some of them in the middle of the handshake."""
    while time.monotonic() < stop:
        with upgrade(base, "/API/GenerateText2ImageWS") as line:
            if random.random() < 0.7:
                line.sendall(frame(TEXT, json.dumps({"session_id": session, "images": 3, **SMALL}).encode()))
        dial(base).close()


def make(client: SwarmClient, stop: float, announced: list[str]) -> None:
    while time.monotonic() < stop:
        answer = client.post("GenerateText2Image", images=5, **{**SMALL, "steps": 20})
        announced += [url for url in answer.get("images", []) if url.startswith("View/")]

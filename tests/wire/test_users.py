"""Two people on one open server, told apart by the header X-SWARM-USER_ID (swarm-core 2.1, 8.4)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from swarm.settings.user import UserSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
UNAUTHORIZED = {"error": "unauthorized - you may not view other users' outputs", "error_id": "unauthorized"}


class Person(SwarmClient):
    """A client that says who it is with every call."""

    def __init__(self, base: str, name: str) -> None:
        super().__init__(base)
        self.http.headers["X-SWARM-USER_ID"] = name


@pytest.fixture
def people(world: World, serve: Serve) -> Iterator[tuple[Person, Person]]:
    """Alice and Bob with the role `user`, who may not see each other's pictures."""
    save_settings(ServerSettings(default_user=UserSettings(roles=("user",))), world.data / "Settings.fds")
    base = serve().base
    with Person(base, "alice") as alice, Person(base, "bob") as bob:
        yield alice, bob


def sources(client: SwarmClient) -> list[str]:
    return [file["src"] for file in client.post("ListImages", path="", depth=9)["files"]]


def test_the_session_belongs_to_the_user_of_the_header(people: tuple[Person, Person]) -> None:
    alice, bob = people
    assert alice.raw("GetNewSession", {}).json()["user_id"] == "alice"
    assert bob.raw("GetNewSession", {}).json()["user_id"] == "bob"
    with SwarmClient(alice.base) as nobody:
        assert nobody.raw("GetNewSession", {}).json()["user_id"] == "local"


def test_outputs_and_histories_are_separate(world: World, people: tuple[Person, Person]) -> None:
    alice, bob = people
    (hers,) = alice.generate(**SMALL, overrideoutpathformat="same")["images"]
    (his,) = bob.generate(**{**SMALL, "seed": 9}, overrideoutpathformat="same")["images"]
    assert (hers, his) == ("View/alice/same.png", "View/bob/same.png")
    assert (world.outputs / "alice" / "same.png").read_bytes() != (world.outputs / "bob" / "same.png").read_bytes()
    assert sources(alice) == sources(bob) == ["same.png"]
    with SwarmClient(alice.base) as nobody:
        assert sources(nobody) == []
    assert alice.post("ToggleImageStarred", path="same.png") == {"new_state": True}
    assert (sources(alice), sources(bob)) == (["Starred/same.png"], ["same.png"])
    assert bob.post("DeleteImage", path="same.png") == {"success": True}
    assert bob.post("DeleteImage", path="../alice/same.png") == {"error": "That file does not exist, cannot delete."}
    assert (world.outputs / "alice" / "same.png").is_file()
    assert sources(bob) == []


def test_files_of_others_are_refused_and_the_older_address_is_ones_own(people: tuple[Person, Person]) -> None:
    alice, bob = people
    alice.generate(**SMALL, overrideoutpathformat="x")
    assert alice.http.get("/View/alice/x.png").status_code == 200
    assert alice.http.get("/Output/x.png").status_code == 200
    for target in ("/View/alice/x.png", "/View/alice/x.png?preview=true", "/View/Alice/x.png", "/View/alice"):
        answer = bob.http.get(target)
        assert (answer.status_code, answer.json()) == (400, UNAUTHORIZED), target
    assert bob.http.get("/Output/x.png").status_code == 404
    assert bob.http.get("/View/bob/../alice/x.png").status_code in (400, 404)
    assert bob.http.get("/View/bob/%252e%252e/alice/x.png").status_code in (400, 404)
    with SwarmClient(alice.base) as nobody:
        assert nobody.http.get("/View/alice/x.png").json() == UNAUTHORIZED


def test_an_init_image_comes_from_ones_own_folder(people: tuple[Person, Person]) -> None:
    alice, bob = people
    alice.generate(**SMALL, overrideoutpathformat="inputs/face")
    assert len(alice.generate(**SMALL, initimage="inputs/face.png")["images"]) == 1
    answer = bob.generate(**SMALL, initimage="inputs/face.png")
    assert answer["error"].endswith("Invalid file path for param Init Image - 'inputs/face.png' - file does not exist")
    assert list(bob.generate(**SMALL, initimage="inputs/../../alice/inputs/face.png")) == ["error"]


def test_requests_are_numbered_for_each_user(people: tuple[Person, Person]) -> None:
    def number(who: Person) -> str:
        (image,) = [message for message in who.generate_ws(**SMALL) if "image" in message]
        return str(image["request_id"])

    alice, bob = people
    assert [number(alice), number(alice), number(bob), number(alice)] == ["1001", "1002", "1001", "1003"]


def test_an_interrupt_reaches_all_sessions_of_the_user_and_nobody_else(world: World, serve: Serve) -> None:
    world.backends(StepMilliseconds=50, MaxUsages=8)
    base = serve().base
    heard: dict[str, dict[str, Any]] = {}
    with Person(base, "alice") as first, Person(base, "alice") as second, Person(base, "bob") as bob:
        everyone = {"first": first, "second": second, "bob": bob}

        def ask(name: str) -> None:
            heard[name] = everyone[name].generate(**{**SMALL, "steps": 40})

        sessions = {name: who.session_id for name, who in everyone.items()}
        threads = [threading.Thread(target=ask, args=(name,)) for name in everyone]
        for thread in threads:
            thread.start()
        with SwarmClient(base) as watcher:
            end = time.monotonic() + 20
            while time.monotonic() < end and not all(
                watcher.raw("GetCurrentStatus", {"session_id": one}).json()["status"]["live_gens"]
                for one in sessions.values()
            ):
                time.sleep(0.02)
            interrupted = watcher.raw("InterruptAll", {"session_id": sessions["first"], "other_sessions": True})
        assert interrupted.json() == {"success": True}
        for thread in threads:
            thread.join(30)
    assert heard["first"] == heard["second"] == {"error": "Generation session interrupted."}
    assert len(heard["bob"]["images"]) == 1


@pytest.mark.parametrize(("sent", "meant"), [("../../etc", "etc"), ("a/b", "ab"), ("", "_"), ("con", "con_")])
def test_no_name_leads_out_of_the_output_folder(world: World, client: SwarmClient, sent: str, meant: str) -> None:
    with Person(client.base, sent) as somebody:
        assert somebody.raw("GetNewSession", {}).json()["user_id"] == meant
        (url,) = somebody.generate(**SMALL, overrideoutpathformat="x")["images"]
        assert url == f"View/{meant}/x.png"
        assert (world.outputs / meant / "x.png").is_file()
        assert somebody.http.get(f"/{url}").status_code == 200

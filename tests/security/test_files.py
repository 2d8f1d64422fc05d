"""Files of a server with accounts: nobody reads or changes what lies outside of their own folder."""

from __future__ import annotations

import hashlib
import http.client
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.conftest import World
from tests.security.corpus import PATHS
from tests.support.accounts import Member, Owner, accounts_mode
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SECRET = b"the secret outside of every served folder"
SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64}
MAYBE = (302, 307, 400, 403, 404)


@dataclass(frozen=True)
class Town:
    """A server with three people on it whose folders' names begin alike, and one picture of Alice."""

    world: World
    owner: Owner
    alice: Member
    bob: Member
    picture: str


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    world = World(tmp_path_factory.mktemp("files"))
    world.backends(StepMilliseconds=0)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as owner:
        alice, bob, other = (owner.invite(name, "poweruser") for name in ("alice", "bob", "bob2"))
        [picture] = alice.generate(**SMALL)["images"]
        for member in (bob, other):
            assert member.generate(**SMALL)["images"]
        for folder in (world.folder, world.outputs, world.data):
            (folder / "x.png").write_bytes(SECRET)
        (world.folder / "etc").mkdir()
        yield Town(world, owner, alice, bob, picture)
        for member in (alice, bob, other):
            member.http.close()


def fetch(member: Member, target: str) -> tuple[int, bytes]:
    """GET exactly this target as somebody, without a client library tidying it up."""
    where = urlsplit(member.base)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=20)
    try:
        connection.putrequest("GET", target.replace(" ", "%20"), skip_accept_encoding=True)
        connection.putheader("Cookie", f"swarm_token={member.token}")
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def tree(folder: Path) -> dict[str, str]:
    """Every file below `folder` with its sum, but for databases and what a log holds."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".db" not in path.name and "Logs" not in path.parts
    }


PREFIXES = (
    *("/View/", "/View/bob/", "/View/alice/", "/Output/", "/ViewSpecial/Stable-Diffusion/", "/ViewSpecial/Wildcards/"),
    *("/ViewSpecial/Preset/", "/ViewSpecial/", "/Audio/", "/ExtensionFile/", "/ExtensionFile/hello/", "/css/", "/js/"),
    *("/fonts/", "/imgs/", "/"),
)


@pytest.mark.case("T01", "T02", "I8")
@pytest.mark.parametrize("prefix", PREFIXES)
def test_no_address_of_files_leads_out(town: Town, prefix: str) -> None:
    for path in PATHS:
        for target in (prefix + quote(path, safe="%/:;~."), prefix + quote(path, safe="")):
            status, body = fetch(town.bob, target)
            assert status in MAYBE, (target, status)
            assert SECRET not in body and b"root:" not in body
            assert str(town.world.folder).encode() not in body and b"Traceback" not in body


@pytest.mark.case("T01")
def test_what_is_outside_takes_as_long_whether_it_is_there_or_not(town: Town) -> None:
    """The fastest of many: what a path outside costs is decided before the disk is asked."""
    pairs = [("/View/bob/../../x.png", "/View/bob/../../y.png"), ("/View/alice/x.png", f"/{town.picture}")]
    for there, missing in pairs:
        first, second = fetch(town.bob, there), fetch(town.bob, missing)
        assert first == second
        took: dict[str, list[float]] = {there: [], missing: []}
        for _ in range(60):
            for target, times in took.items():
                begun = time.perf_counter()
                fetch(town.bob, target)
                times.append(time.perf_counter() - begun)
        quickest = [statistics.mean(sorted(times)[:10]) for times in took.values()]
        assert max(quickest) < 2 * min(quickest)


@pytest.mark.case("T03", "T05")
@pytest.mark.parametrize("owner", ["alice", "ALICE", "bob2", "BOB", "Bob", "bo", "nobody", "bob%2f..%2falice", "."])
def test_pictures_of_others_are_answered_like_missing_ones(town: Town, owner: str) -> None:
    name = town.picture.removeprefix("View/alice/")
    found = {fetch(town.bob, f"/View/{owner}/{path}") for path in (name, "raw/none.png", "x.png")}
    assert len(found) == 1
    [(status, body)] = found
    assert status in (400, 403, 404) and json.loads(body)["error_id"]


@pytest.mark.case("T03")
@pytest.mark.parametrize("way", ["../alice/", "..%2falice/", "raw/../../alice/", "%2e%2e/alice/"])
def test_no_way_leads_from_ones_own_folder_into_anothers(town: Town, way: str) -> None:
    name = town.picture.removeprefix("View/alice/")
    for prefix in ("/View/bob/", "/Output/"):
        status, body = fetch(town.bob, prefix + way + name)
        assert status in (302, 400, 403, 404) and b"PNG" not in body
    status, body = fetch(town.alice, f"/{town.picture}")
    assert status == 200 and body


@pytest.mark.case("T05")
def test_a_picture_in_another_case_is_the_same_decision(town: Town) -> None:
    """On a disk that tells cases apart there is no such file; on one that does not, it is Alice's all the same."""
    loud = town.picture.upper().replace("VIEW/ALICE", "View/alice")
    assert fetch(town.bob, f"/{loud}") == fetch(town.bob, f"/{town.picture}")
    assert fetch(town.alice, f"/{loud}")[0] in (200, 404)


@pytest.mark.case("T06", "T07")
def test_databases_settings_and_hidden_files_are_not_served(town: Town) -> None:
    own = town.world.outputs / "bob"
    (own / ".hidden.png").write_bytes(SECRET)
    (own / ".git").mkdir()
    (own / ".git" / "config").write_bytes(SECRET)
    (town.world.outputs / "bob-secret").mkdir()
    (town.world.outputs / "bob-secret" / "x.png").write_bytes(SECRET)
    for sidecar in (town.world.outputs / "alice").rglob("*.png"):
        sidecar.with_suffix(".swarm.json").write_bytes(SECRET)
    names = [
        *(
            "Users.db",
            "swarm.db",
            "index.db",
            "Settings.fds",
            "Roles.fds",
            "Backends.fds",
            ".hidden.png",
            ".git/config",
        ),
        *("Data/Settings.fds", "Data/swarm.db", "../Data/Settings.fds", "../../Data/swarm.db", "../bob-secret/x.png"),
        *("swarm/app.py", "pyproject.toml", "js/../../pyproject.toml", "css/../index.html", "css", "js/"),
    ]
    for prefix in ("/", "/View/bob/", "/View/", "/Output/", "/css/", "/js/", "/imgs/"):
        for name in names:
            status, body = fetch(town.bob, prefix + name)
            assert status in MAYBE and SECRET not in body and b"authorization" not in body.lower(), prefix + name
    beside = town.picture.rpartition(".")[0] + ".swarm.json"
    assert fetch(town.bob, f"/{beside}") == fetch(town.bob, "/View/alice/none.swarm.json")


@pytest.mark.case("T08")
def test_links_that_lead_out_are_not_followed(town: Town) -> None:
    own = town.world.outputs / "bob"
    (own / "link.png").symlink_to(town.world.folder / "x.png")
    (own / "linked").symlink_to(town.world.folder, target_is_directory=True)
    (own / "neighbour").symlink_to(town.world.outputs / "alice", target_is_directory=True)
    name = town.picture.removeprefix("View/alice/")
    for path in ("link.png", "linked/x.png", f"neighbour/{name}"):
        for query in ("", "?preview=true"):
            status, body = fetch(town.bob, f"/View/bob/{path}{query}")
            assert status in (400, 403, 404) and SECRET not in body
    listed = json.dumps(town.bob.post("ListImages", path="", depth=5))
    assert "linked/x" not in listed and "neighbour/" not in listed and "link.png" not in listed
    for line in ("link.png", "linked", "neighbour"):
        (own / line).unlink()


@pytest.mark.case("T09")
@pytest.mark.parametrize("param", ["initimage", "maskimage", "promptimages"])
def test_no_picture_is_read_from_a_path(town: Town, param: str) -> None:
    stolen = town.picture.removeprefix("View/alice/")
    paths = ["/etc/passwd", "../../x.png", "file:///etc/passwd", town.picture, f"inputs/../../alice/{stolen}"]
    for path in (*paths, f"raw/../../alice/{stolen}", "http://127.0.0.1/x.png", "raw/x\0.png", "Starred/../../x.png"):
        answer = town.bob.generate(**SMALL, **{param: path})
        assert next(iter(answer)) == "error" and str(town.world.folder) not in answer["error"], path
        assert town.bob.post("GetCurrentStatus")["status"]["waiting_gens"] == 0
    told = town.bob.generate_ws(**SMALL, **{param: paths[-1]})
    assert any("error" in message for message in told) and not any("image" in message for message in told)


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("DeleteImage", "path", {}),
    ("ToggleImageStarred", "path", {}),
    ("OpenImageFolder", "path", {}),
    ("DeleteModel", "modelName", {"subtype": "Stable-Diffusion"}),
    ("RenameModel", "oldName", {"newName": "x", "subtype": "Stable-Diffusion"}),
    ("DescribeModel", "modelName", {"subtype": "Stable-Diffusion"}),
    ("GetModelHash", "modelName", {"subtype": "Stable-Diffusion"}),
    ("DeleteWildcard", "card", {}),
    ("DeletePreset", "preset", {}),
    ("DuplicatePreset", "preset", {}),
    ("RestoreFromTrash", "id", {}),
    ("DeleteFromTrash", "id", {}),
]


@pytest.mark.case("T10", "I8")
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_routes_that_take_a_name_change_nothing_elsewhere(town: Town, call: tuple[str, str, dict[str, Any]]) -> None:
    route, key, rest = call
    before = tree(town.world.folder)
    for path in PATHS:
        answer = town.owner.post(route, **{key: path}, **rest)
        is_refused = {"error", "preset_fail"} & set(answer) or answer.get("success") is False
        assert is_refused, (path[:40], answer)
        assert str(town.world.folder) not in json.dumps(answer)
    assert tree(town.world.folder) == before


@pytest.mark.case("T11", "I8")
def test_names_are_written_below_their_own_folder_only(town: Town) -> None:
    before = tree(town.world.folder)
    for path in PATHS:
        town.owner.post("EditWildcard", card=path, options="x")
        town.owner.post("AddNewPreset", title=path, description="", param_map={}, is_edit=True)
        town.owner.post("RenameModel", oldName="tiny", newName=path, subtype="Stable-Diffusion")
        for entry in town.owner.post("ListModels", path="", depth=9)["files"]:
            town.owner.post("RenameModel", oldName=entry["name"], newName="tiny", subtype="Stable-Diffusion")
        town.owner.post("EditBackend", backend_id=0, title=path, settings={})
        town.owner.post("AdminAddRole", name=path, display_name=path)
        town.owner.post("AdminAddUser", name=path, password="a long walk home", role="user")
    after = tree(town.world.folder)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    below = ("Data/Wildcards/", "Data/Backends.fds", "Data/Roles.fds", "Data/Settings.fds", "Data/Backups/")
    assert {name for name in changed if not name.startswith(below)} <= {"Models/Stable-Diffusion/tiny.swarm.json"}
    assert not any(part.startswith(".") for name in changed for part in name.split("/"))


@pytest.mark.case("T11")
@pytest.mark.parametrize("template", ["[model]/../../x", "../alice/[seed]", "/etc/[seed]", "C:\\[seed]", "~root/x"])
def test_output_formats_stay_in_the_users_folder(town: Town, template: str) -> None:
    before = tree(town.world.folder)
    answer = town.bob.generate(**SMALL, overrideoutpathformat=template)
    assert list(answer) in (["images"], ["error"])
    fresh = set(tree(town.world.folder)) - set(before)
    assert all(name.startswith("Output/bob/") for name in fresh)

"""History routes through the real server: shapes, depth, order, stars (swarm-t2i 4.11, 7)."""

from __future__ import annotations

import base64
import io
import json
import os
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from swarm.settings.user import FileFormat, UserSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}


def data_url(kind: str, mime: str, *, frames: int = 1) -> str:
    pictures = [Image.new("RGB", (40, 30), (40 * number, 0, 90)) for number in range(frames)]
    more: dict[str, Any] = {"save_all": True, "append_images": pictures[1:], "duration": 120} if frames > 1 else {}
    buffer = io.BytesIO()
    pictures[0].save(buffer, kind, **more)
    return f"data:{mime};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def sources(answer: dict[str, Any]) -> list[str]:
    return [file["src"] for file in answer["files"]]


def with_settings(world: World, **changes: Any) -> None:
    user = replace(UserSettings(), **changes)
    save_settings(ServerSettings(default_user=user), world.data / "Settings.fds")


@pytest.fixture
def shelf(client: SwarmClient) -> SwarmClient:
    """A server with pictures at `one.png`, `f/two.png` and `f/g/three.png`, made in this order."""
    for name in ("one", "f/two", "f/g/three"):
        (url,) = client.generate(**SMALL, overrideoutpathformat=name)["images"]
        assert url == f"View/local/{name}.png"
    return client


@pytest.mark.parametrize(
    ("path", "depth", "folders", "files"),
    [
        ("", 0, [], ["one.png"]),
        ("", 1, ["f"], ["one.png"]),
        ("", 2, ["f", "f/g"], ["one.png", "f/two.png"]),
        ("", 3, ["f", "f/g"], ["one.png", "f/two.png", "f/g/three.png"]),
        ("f", 1, ["g"], ["two.png"]),
        ("/f/", 5, ["g"], ["two.png", "g/three.png"]),
        ("f\\g", 0, [], ["three.png"]),
        ("nothing/here", 5, [], []),
        ("../..", 0, [], ["one.png"]),
    ],
)
def test_depth(shelf: SwarmClient, path: str, depth: int, folders: list[str], files: list[str]) -> None:
    answer = shelf.post("ListImages", path=path, depth=depth)
    assert list(answer) == ["folders", "files"]
    assert (answer["folders"], sources(answer)) == (folders, files)
    assert all(list(file) == ["src", "metadata"] for file in answer["files"])
    assert all(json.loads(file["metadata"])["sui_image_params"]["seed"] == 5 for file in answer["files"])


def test_orders(world: World, shelf: SwarmClient) -> None:
    for age, name in enumerate(["f/two.png", "one.png", "f/g/three.png"]):
        os.utime(world.outputs / "local" / name, (1_700_000_000 - age, 1_700_000_000 - age))
    everything = {"path": "", "depth": 9}
    assert sources(shelf.post("ListImages", **everything)) == ["one.png", "f/two.png", "f/g/three.png"]
    back = shelf.post("ListImages", **everything, sortReverse=True, sortBy="NAME")
    assert sources(back) == ["f/g/three.png", "f/two.png", "one.png"]
    assert shelf.post("ListImages", **everything, sortBy="Size") == {"error": "Invalid sort mode 'Size'."}
    assert shelf.post("ListImages", depth=1) == {"error": "Missing required parameter 'path'"}
    assert shelf.post("ListImages", path="") == {"error": "Missing required parameter 'depth'"}


def test_a_star_is_toggled_listed_and_outlives_its_original(shelf: SwarmClient) -> None:
    assert shelf.post("ToggleImageStarred", path="f/two.png") == {"new_state": True}
    answer = shelf.post("ListImages", path="", depth=9)
    assert sources(answer) == ["one.png", "f/g/three.png", "Starred/f/two.png"]
    starred = json.loads(answer["files"][-1]["metadata"])
    assert starred["is_starred"] is True and starred["sui_image_params"]["prompt"] == "a cat"
    (file,) = shelf.post("ListImages", path="f", depth=0)["files"]
    assert json.loads(file["metadata"])["is_starred"] is True
    assert shelf.http.get("/View/local/Starred/f/two.png").status_code == 200
    assert shelf.post("DeleteImage", path="f/two.png") == {"success": True}
    assert shelf.http.get("/View/local/f/two.png").status_code == 404
    assert shelf.post("ToggleImageStarred", path="Starred/f/two.png") == {"new_state": False}
    assert shelf.http.get("/View/local/f/two.png").status_code == 200
    assert shelf.post("ToggleImageStarred", path="none.png") == {"error": "That file does not exist, cannot star."}


def test_a_deleted_picture_is_gone_and_its_name_is_not_used_again(shelf: SwarmClient) -> None:
    assert shelf.post("DeleteImage", path="one.png") == {"success": True}
    assert shelf.post("DeleteImage", path="one.png") == {"error": "That file does not exist, cannot delete."}
    assert shelf.post("DeleteImage", path="f") == {"error": "That file does not exist, cannot delete."}
    assert shelf.post("DeleteImage") == {"error": "Missing required parameter 'path'"}
    (url,) = shelf.generate(**SMALL, overrideoutpathformat="one")["images"]
    assert url == "View/local/one-1.png"


def test_an_added_picture_is_announced_numbered_and_listed(client: SwarmClient) -> None:
    client.generate(**SMALL)
    answer = client.post(
        "AddImageToHistory",
        image=data_url("PNG", "image/png"),
        overrideoutpathformat="inputs/up/[prompt]",
        prompt="<random:mine>",
        steps=7,
        imageformat="JPG",
    )
    assert list(answer) == ["images"]
    (added,) = answer["images"]
    assert list(added) == ["image", "batch_index", "request_id", "metadata"]
    assert added["image"] == "View/local/inputs/up/randommine.jpg"
    assert (added["batch_index"], added["request_id"]) == ("0", "1002")
    said = json.loads(added["metadata"])
    assert said["sui_image_params"]["prompt"] == "<random:mine>"
    assert said["sui_image_params"]["steps"] == 7
    (listed,) = client.post("ListImages", path="inputs/up", depth=0)["files"]
    assert listed == {"src": "randommine.jpg", "metadata": added["metadata"]}


@pytest.mark.parametrize(("kind", "mime"), [("GIF", "image/gif"), ("WEBP", "image/webp")])
def test_an_added_animation_keeps_moving(client: SwarmClient, kind: str, mime: str) -> None:
    url = data_url(kind, mime, frames=3)
    answer = client.post("AddImageToHistory", image=url, overrideoutpathformat="moving", prompt="dance")
    (added,) = answer["images"]
    assert added["image"] == f"View/local/moving.{kind.lower()}"
    fetched = client.http.get("/" + added["image"])
    assert fetched.content == base64.b64decode(url.partition(",")[2])
    assert fetched.headers["content-type"] == mime
    (listed,) = client.post("ListImages", path="", depth=0)["files"]
    assert listed["metadata"] == added["metadata"]


@pytest.mark.parametrize(
    ("image", "more"),
    [
        ("nothing", {}),
        ("", {}),
        ("data:image/png;base64,AAAA", {}),
        ("data:image/png;base64,!!!!", {}),
        ("data:image/gif;base64," + base64.b64encode(b"GIF89a" + bytes(40)).decode(), {}),
        (data_url("PNG", "image/png"), {"steps": "many"}),
    ],
)
def test_what_cannot_be_added_is_a_sentence(client: SwarmClient, image: str, more: dict[str, Any]) -> None:
    answer = client.post("AddImageToHistory", image=image, **more)
    assert list(answer) == ["error"] and answer["error"].endswith((".", ")"))
    assert client.post("ListImages", path="", depth=9)["files"] == []


def test_without_embedded_metadata_a_text_file_can_still_hold_it(world: World, serve: Serve) -> None:
    with_settings(world, file_format=FileFormat(save_metadata=False, save_text_file_metadata=True))
    client = serve()
    (url,) = client.generate(**SMALL, overrideoutpathformat="x")["images"]
    with Image.open(io.BytesIO(client.http.get(f"/{url}").content)) as picture:
        assert "parameters" not in picture.info
    beside = json.loads((world.outputs / "local" / "x.swarm.json").read_text(encoding="utf-8"))
    assert beside["sui_image_params"]["seed"] == 5
    (listed,) = client.post("ListImages", path="", depth=0)["files"]
    assert json.loads(listed["metadata"]) == beside


def test_without_any_metadata_the_file_says_nothing_and_the_answer_does(world: World, serve: Serve) -> None:
    with_settings(world, file_format=FileFormat(save_metadata=False))
    client = serve()
    (image,) = [message for message in client.generate_ws(**SMALL) if "image" in message]
    assert json.loads(image["metadata"])["sui_image_params"]["seed"] == 5
    (listed,) = client.post("ListImages", path="", depth=9)["files"]
    assert listed["metadata"] is None
    client.post("ToggleImageStarred", path=listed["src"])
    (starred,) = client.post("ListImages", path="", depth=9)["files"]
    assert starred["metadata"] == '{ "is_starred": true }'


def test_who_saves_no_files_gets_data_urls(world: World, serve: Serve) -> None:
    with_settings(world, save_files=False)
    client = serve()
    (url,) = client.generate(**SMALL)["images"]
    assert url.startswith("data:image/png;base64,")
    (added,) = client.post("AddImageToHistory", image=data_url("PNG", "image/png"))["images"]
    assert added["image"].startswith("data:image/png;base64,")
    assert not list(world.outputs.rglob("*.png"))


def test_only_so_many_pictures_are_listed(world: World, serve: Serve) -> None:
    with_settings(world, max_images_in_history=2)
    client = serve()
    client.generate(**{**SMALL, "images": 3}, overrideoutpathformat="n[number]")
    assert sources(client.post("ListImages", path="", depth=0)) == ["n3.png", "n2.png"]

"""Settings of a user: what a client sees, and that changes act (swarm-core 4, 5.11, 5.12)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.client import SwarmClient
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64}
TREE = """outpathbuilder fileformat ui paramparsing savefiles starnofolders theme centerimagealwaysgrow
    autoswapimagesincludesfullview buttonsundermainimages imagemetadataformat resetbatchsizetoone hintformat
    hoverdelayseconds maxpromptlines vaes maximagesinminigrid maximagesinhistory maximagesscannedinhistory
    imagehistoryusepreviews maxsimulpreviews enterkeygenerates generateforeverdelay generateforeverqueuesize
    parametermemorydurationhours language reuseparamexcludelist audio autocomplete"""


def settings(client: SwarmClient) -> dict[str, Any]:
    shown: dict[str, Any] = client.post("GetUserSettings")["settings"]
    return shown


def change(client: SwarmClient, changes: Any) -> dict[str, Any]:
    return client.post("ChangeUserSettings", settings=changes)


def test_the_whole_tree_is_shown_without_the_roles(client: SwarmClient) -> None:
    answer = client.post("GetUserSettings")
    assert list(answer) == ["themes", "settings"]
    assert list(answer["settings"]) == TREE.split()
    assert answer["settings"]["fileformat"]["value"]["imageformat"] == {
        "type": "dropdown",
        "name": "ImageFormat",
        "value": "PNG",
        "description": "File format of saved pictures.",
        "values": ["PNG", "JPG", "WEBP_LOSSLESS", "WEBP"],
        "value_names": ["PNG", "JPG", "WEBP_LOSSLESS", "WEBP"],
        "is_secret": False,
        "default_value": "PNG",
    }
    behavior = answer["settings"]["ui"]["value"]["deleteimagebehavior"]
    assert behavior["value_names"] == ["Nothing", "Next (Right/Down)", "Previous (Left/Up)"]
    assert answer["settings"]["theme"]["values"] == list(answer["themes"])


def test_every_theme_has_its_style_sheets(client: SwarmClient) -> None:
    for theme in client.post("GetUserSettings")["themes"].values():
        assert list(theme) == ["name", "is_dark", "css_paths"]
        assert all(client.http.get(f"/{path}").status_code == 200 for path in theme["css_paths"])


def test_changes_act_at_once(client: SwarmClient) -> None:
    changes = {"FileFormat.ImageFormat": "JPG", "outpathbuilder.format": "[seed]-x", "theme": "modern_light"}
    assert change(client, changes) == {"success": True}
    assert settings(client)["theme"]["value"] == "modern_light"
    assert client.generate(**SMALL)["images"] == ["View/local/5-x.jpg"]
    assert change(client, {"savefiles": False}) == {"success": True}
    assert client.generate(**SMALL)["images"][0].startswith("data:")


def test_changes_outlive_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "server"
    folder.mkdir()
    with server_in_thread(options_for(folder)) as base, SwarmClient(base) as client:
        change(client, {"maximagesinhistory": "12", "ui.deleteimagebehavior": "previous"})
        other = client.raw("GetNewSession", {}, **{"X-SWARM-USER_ID": "other"}).json()["session_id"]
        theirs = client.raw("GetUserSettings", {"session_id": other}).json()["settings"]
        assert theirs["maximagesinhistory"]["value"] == 1000
    with server_in_thread(options_for(folder)) as base, SwarmClient(base) as client:
        kept = settings(client)
        assert (kept["maximagesinhistory"]["value"], kept["maximagesinhistory"]["default_value"]) == (12, 1000)
        assert kept["ui"]["value"]["deleteimagebehavior"]["value"] == "previous"


def test_what_cannot_be_changed_is_skipped(client: SwarmClient) -> None:
    before = settings(client)
    assert change(client, {"roles": ["guest"], "nothing": 1, "fileformat": {"dpi": 5}, "theme": None}) == {
        "success": True
    }
    assert settings(client) == before
    assert "*" in client.raw("GetNewSession", {}).json()["permissions"]


def test_what_does_not_fit_changes_nothing(client: SwarmClient) -> None:
    before = settings(client)
    assert change(client, {"savefiles": False, "fileformat.dpi": "many"}) == {
        "error": "The setting 'fileformat.dpi' needs a number."
    }
    bads: list[Any] = [None, [], "x"]
    for bad in bads:
        assert change(client, bad) == {"error": "The object 'settings' is missing."}
    assert client.post("ChangeUserSettings") == {"error": "The object 'settings' is missing."}
    assert settings(client) == before


def test_an_image_format_that_does_not_exist_is_told_when_it_is_used(client: SwarmClient) -> None:
    assert change(client, {"fileformat.imageformat": "TIFF"}) == {"success": True}
    assert client.generate(**SMALL) == {"error": "User setting for image format is 'TIFF', which is invalid"}


@pytest.mark.parametrize("number", [-5, 0, 2**31 - 1, -(2**31)])
def test_numbers_out_of_range_do_not_break_pictures(client: SwarmClient, number: int) -> None:
    paths = """fileformat.imagequality fileformat.dpi outpathbuilder.maxlenperpart maximagesinminigrid
        maximagesinhistory maximagesscannedinhistory"""
    assert change(client, dict.fromkeys(paths.split(), number)) == {"success": True}
    for image_format in ("JPG", "PNG", "WEBP"):
        change(client, {"fileformat.imageformat": image_format, "fileformat.stealthmetadata": "?"})
        answer = client.generate(**SMALL)
        assert len(answer.get("images", ())) == 1, answer
    assert "files" in client.post("ListImages", path="", depth=3)

"""Presets: saved, listed, exported, and what they do to pictures (swarm-core 5.8, 5.9, 8.5; swarm-t2i 3.7, 5.2)."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from swarm.media.embedded import read_metadata
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64}
PLACEHOLDER = "imgs/model_placeholder.jpg"


def jpeg(width: int = 600, height: int = 300) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(file.getvalue()).decode()


def add(client: SwarmClient, title: str, **more: Any) -> dict[str, Any]:
    return client.post("AddNewPreset", **{"title": title, "description": "", "param_map": {}, **more})


def presets(client: SwarmClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.post("GetMyUserData")["presets"]
    return found


def recorded(client: SwarmClient, **params: Any) -> list[dict[str, Any]]:
    """What the metadata of each picture says."""
    answer = client.generate(**{**SMALL, **params})
    assert "error" not in answer, answer
    files = [client.http.get(f"/{url}").content for url in answer["images"]]
    texts = [read_metadata(io.BytesIO(data)) for data in files]
    return [json.loads(text or "{}") for text in texts]


def test_a_preset_is_listed_as_it_was_saved(client: SwarmClient) -> None:
    params = {"steps": 30, "prompt": "x {value}", "flag": True, "cfgscale": 7.5, "loras": ["a", "b"], "none": None}
    assert add(client, "My: Preset*", description="text", param_map=params, is_starred=True) == {"success": True}
    expected = {
        "author": "local",
        "title": "My Preset",
        "description": "text",
        "preview_image": PLACEHOLDER,
        "is_starred": True,
        "param_map": {
            **{"steps": "30", "prompt": "x {value}", "flag": "True", "cfgscale": "7.5"},
            **{"loras": "a,b", "none": ""},
        },
    }
    assert [list(one) for one in presets(client)] == [list(expected)]
    shown = presets(client)[0]
    loras = shown["param_map"].pop("loras")
    expected["param_map"].pop("loras")  # type: ignore[attr-defined]
    assert shown == expected and loras.replace("\n|||\n", ",") == "a,b"


def test_bad_presets_are_refused_with_a_key_of_their_own(client: SwarmClient) -> None:
    assert add(client, "One") == {"success": True}
    assert add(client, "ONE") == {"preset_fail": "A preset with that title already exists."}
    for title in ("", "..", "?*"):
        assert add(client, title) == {"preset_fail": "Invalid or empty title."}
    for image in ("/Output/x.png", "https://x.test/a.jpg", jpeg() + "?", "data:image/png;base64,AAAA", "View/x.png"):
        assert add(client, "Two", preview_image=image) == {"preset_fail": "Forbidden preview-image path."}, image
    assert "error" in add(client, "Two", preview_image="data:image/jpeg;base64,AAAA")
    bads: list[Any] = [None, [], "x"]
    for bad in bads:
        assert add(client, "Two", param_map=bad) == {"error": "The object 'param_map' is missing."}
    assert [one["title"] for one in presets(client)] == ["One"]


def test_a_preview_is_made_small_and_served_to_its_owner(client: SwarmClient) -> None:
    saved = add(client, "Red", preview_image=jpeg(), preview_image_metadata='{"a": "b"}')
    assert saved == {"success": True}
    url = presets(client)[0]["preview_image"]
    assert url == "/ViewSpecial/Preset/Red?editid=1"
    answer = client.http.get("/ViewSpecial/Preset/rEd?editid=1")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.headers["cache-control"] == "private, max-age=2"
    assert Image.open(io.BytesIO(answer.content)).size == (512, 256)
    assert read_metadata(io.BytesIO(answer.content)) == '{"a": "b"}'
    assert client.http.get(url, headers={"X-SWARM-USER_ID": "other"}).status_code == 404
    assert client.http.get("/ViewSpecial/Preset/Blue").status_code == 404
    exported = client.post("ExportUserPresets")["presets"][0]["preview_image"]
    assert exported == "data:image/jpeg;base64," + base64.b64encode(answer.content).decode()


def test_an_edit_keeps_the_preview_unless_it_brings_one(client: SwarmClient) -> None:
    add(client, "Red", preview_image=jpeg())
    add(client, "Other")
    for image in (None, "", "/ViewSpecial/Preset/Red?editid=1"):
        assert add(client, "red", is_edit=True, editing="Red", preview_image=image) == {"success": True}
    assert add(client, "Blue", is_edit=True, editing="RED") == {"success": True}
    shown = presets(client)
    assert [one["title"] for one in shown] == ["Blue", "Other"]
    assert shown[0]["preview_image"].startswith("/ViewSpecial/Preset/Blue?editid=")
    add(client, "Blue", is_edit=True, preview_image=PLACEHOLDER)
    assert presets(client)[0]["preview_image"] == PLACEHOLDER
    assert add(client, "New", is_edit=True, editing="never was") == {"success": True}
    assert len(presets(client)) == 3


def test_copies_deletions_and_exports(client: SwarmClient) -> None:
    add(client, "One", preview_image=jpeg(), param_map={"steps": 3})
    for _ in range(2):
        assert client.post("DuplicatePreset", preset="one") == {"success": True}
    assert [one["title"] for one in presets(client)] == ["One", "One (2)", "One (3)"]
    exported = client.post("ExportUserPresets", titles=["One (3)", "one", "no"])["presets"]
    assert [(one["title"], one["param_map"]) for one in exported] == [("One (3)", {"steps": "3"})]
    assert exported[0]["preview_image"].startswith("data:image/jpeg;base64,")
    assert len(client.post("ExportUserPresets", titles="One")["presets"]) == 3
    assert client.post("DuplicatePreset", preset="no") == {"preset_fail": "No such preset."}
    assert client.post("DeletePreset", preset="ONE") == {"success": True}
    assert client.post("DeletePreset", preset="ONE") == {"success": False}
    assert client.post("SetPresetLinks", LoRA={"x": ["One (2)"]}) == {"success": True}


def test_presets_of_a_request_override_it_in_order(client: SwarmClient) -> None:
    add(client, "First", param_map={"steps": 3, "prompt": "big {value}, sharp", "unknown": "x"})
    add(client, "Second", param_map={"steps": 4, "cfgscale": 2})
    said = recorded(client, presets=["first", "No", "SECOND"])[0]
    params = said["sui_image_params"]
    assert (params["prompt"], params["steps"], params["cfgscale"]) == ("big a cat, sharp", 4, 2.0)
    assert said["sui_extra_data"]["presets_used"] == ["first", "No", "SECOND"]
    add(client, "Broken", param_map={"steps": "many"})
    assert "error" in client.generate(**SMALL, presets=["Broken"])


def test_a_preset_named_in_the_prompt_wraps_the_whole_prompt(client: SwarmClient) -> None:
    add(
        client, "Wrap", param_map={"prompt": "<random:x|x> ({value}:1.2)", "negativeprompt": "{value}, bad", "steps": 3}
    )
    add(client, "Add", param_map={"prompt": "more"})
    said = recorded(client, prompt="a <preset:wrap>cat<p:Add>", negativeprompt="ugly")[0]
    params = said["sui_image_params"]
    assert (params["prompt"], params["steps"]) == ("x (a cat:1.2)more", 3)
    assert params["negativeprompt"] == "ugly, bad"
    assert said["sui_extra_data"]["original_prompt"] == "a <preset:wrap>cat<p:Add>"


def test_a_preset_in_the_negative_prompt_wraps_that(client: SwarmClient) -> None:
    add(client, "Both", param_map={"prompt": "good {value}", "negativeprompt": "bad {value}"})
    params = recorded(client, negativeprompt="<preset:Both>ugly")[0]["sui_image_params"]
    assert (params["prompt"], params["negativeprompt"]) == ("a cat", "bad ugly")


def test_a_preset_in_the_prompt_decides_how_many_pictures_there_are(client: SwarmClient) -> None:
    add(client, "Three", param_map={"images": 3})
    assert len(recorded(client, prompt="<preset:three> cat")) == 3


def test_an_unknown_preset_stays_in_the_prompt_with_a_warning(client: SwarmClient) -> None:
    said = recorded(client, prompt="a <preset:nope>")[0]
    assert said["sui_extra_data"]["parser_warnings"] == ["Preset 'nope' does not exist and will be ignored."]
    assert said["sui_image_params"]["prompt"] == "a <preset:nope>"


@pytest.mark.parametrize("prompt", ["<preset:Loop>", "<preset:Loop><preset:Loop>"])
def test_a_preset_that_names_itself_ends(client: SwarmClient, prompt: str) -> None:
    add(client, "Loop", param_map={"prompt": f"x{prompt}"})
    answer = client.generate(**{**SMALL, "prompt": "<preset:Loop>"})
    assert "images" in answer or "unfold into too much" in answer["error"]

"""Changing models and wildcards over the wire: exact answers, and names that try to lead out (1.7)."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS

OUT_OF_PLACE = ["../secret", "..\\secret", "/etc/passwd", "C:\\x", "sub/../../secret", "%2e%2e/secret", "....//secret"]
FULL = {
    **{"title": "T", "author": "A", "type": "", "description": "D", "standard_width": 640, "standard_height": 512},
    **{"usage_hint": "", "date": "", "license": "", "trigger_phrase": "tp", "prediction_type": "", "tags": "a, b"},
}
PLACEHOLDER = "imgs/model_placeholder.jpg"


def picture() -> str:
    out = BytesIO()
    Image.new("RGB", (400, 300), "red").save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def socket_frames(client: SwarmClient, **body: Any) -> list[dict[str, Any]]:
    return list(client.stream("DoModelDownloadWS", **body))


def test_metadata_is_edited_and_shown(client: SwarmClient, world: World) -> None:
    before = (world.models / "Stable-Diffusion" / "tiny.safetensors").read_bytes()
    answer = client.post("EditModelMetadata", model="tiny.safetensors", preview_image=picture(), **FULL)
    assert answer == {"success": True}
    model = client.post("DescribeModel", modelName="tiny")["model"]
    assert (model["title"], model["author"], model["trigger_phrase"], model["tags"]) == ("T", "A", "tp", ["a", "b"])
    assert (model["resolution"], model["architecture"]) == ("640x512", "stable-diffusion-v1")
    assert model["preview_image"].startswith("data:image/jpeg;base64,")
    [listed] = client.post("ListModels", path="", depth=1)["files"]
    assert listed["preview_image"] == "/ViewSpecial/Stable-Diffusion/tiny.safetensors?editid=1"
    assert client.http.get(listed["preview_image"]).headers["content-type"] == "image/jpeg"
    assert (world.models / "Stable-Diffusion" / "tiny.safetensors").read_bytes() == before


def test_headers_and_hash(client: SwarmClient) -> None:
    headers = client.post("GetModelHeaders", model="tiny.safetensors", subtype="Stable-Diffusion")
    assert list(headers) == ["headers"]
    assert set(SD15_TENSORS) <= set(headers["headers"])
    hashed = client.post("GetModelHash", modelName="tiny", subtype="Stable-Diffusion")
    assert list(hashed) == ["hash"]
    assert hashed["hash"].startswith("0x")
    assert len(hashed["hash"]) == 66


def test_renaming_and_deleting(client: SwarmClient, world: World) -> None:
    renamed = client.post("RenameModel", oldName="tiny", newName="in here/new name", subtype="Stable-Diffusion")
    assert renamed == {"success": True}
    [listed] = client.post("ListModels", path="", depth=3)["files"]
    assert listed["name"] == "in_here/new_name.safetensors"
    refused = client.post("RenameModel", oldName="in_here/new_name", newName="...", subtype="Stable-Diffusion")
    assert refused == {"error": "Model new name is not valid."}
    taken = client.post("RenameModel", oldName="in_here/new_name", newName="In_Here/new_name/", subtype="VAE")
    assert taken == {"error": "Model not found."}
    assert client.post("DeleteModel", modelName="in_here/new_name", subtype="Stable-Diffusion") == {"success": True}
    assert client.post("ListModels", path="", depth=3) == {"folders": [], "files": []}
    assert len(list((world.data / "Trash").rglob("origin.json"))) == 1


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("EditModelMetadata", "model", FULL),
    ("GetModelHeaders", "model", {"subtype": "Stable-Diffusion"}),
    ("GetModelHash", "modelName", {"subtype": "Stable-Diffusion"}),
    ("DeleteModel", "modelName", {"subtype": "Stable-Diffusion"}),
    ("RenameModel", "oldName", {"newName": "x", "subtype": "Stable-Diffusion"}),
]


@pytest.mark.case("T10")
def test_no_name_leads_out_and_refusals_are_sentences(client: SwarmClient, world: World) -> None:
    (world.folder / "secret").write_text("secret")
    (world.folder / "secret.safetensors").write_text("secret")
    before = tree(world.models)
    for route, key, rest in CALLS:
        for name in [*OUT_OF_PLACE, "../../secret.safetensors", "nothing"]:
            assert client.post(route, **{key: name}, **rest) == {"error": "Model not found."}, (route, name)
        assert client.post(route, **{key: " "}, **rest) == {"error": "Invalid empty name."}
        wrong = {**rest, key: "tiny", "subtype": "Wildcards"}
        assert client.post(route, **wrong) == {"error": "Invalid sub-type."}
    assert tree(world.models) == before
    for name in OUT_OF_PLACE:
        client.post("DeleteWildcard", card=name)
        client.post("EditWildcard", card=name, options="x")
    assert (world.folder / "secret").read_text() == "secret"
    written = [path for path in world.folder.rglob("*.txt") if path.read_text() == "x"]
    assert written
    assert all(path.is_relative_to(world.data / "Wildcards") for path in written)


def test_wildcards_are_written_listed_used_and_deleted(client: SwarmClient, world: World) -> None:
    assert client.post("EditWildcard", card="a/Colors", options="red # x\n\nred", preview_image=picture()) == {
        "success": True
    }
    shown = client.post("DescribeModel", modelName="A/COLORS", subtype="Wildcards")
    assert list(shown) == ["name", "raw", "image"]
    assert (shown["name"], shown["raw"]) == ("a/Colors", "red # x\n\nred")
    assert shown["image"].startswith("data:image/jpeg;base64,")
    listed = client.post("ListModels", path="", depth=2, subtype="Wildcards")
    assert listed["folders"] == ["a"]
    assert listed["files"][0]["image"] == "/ViewSpecial/Wildcards/a/Colors?editid=1"
    assert client.http.get(listed["files"][0]["image"]).headers["content-type"] == "image/jpeg"
    assert client.post("ListT2IParams")["wildcards"] == ["a/Colors"]
    assert client.post("TestPromptFill", prompt="a <wildcard:colors> cat") == {"result": "a red cat"}
    assert client.post("EditWildcard", card="a/Colors", options="x" * 600, preview_image="clear") == {"success": True}
    [cut] = client.post("ListModels", path="", depth=2, subtype="Wildcards")["files"]
    assert (cut["raw"], cut["image"]) == ("x" * 512 + "...", PLACEHOLDER)
    assert client.post("DeleteWildcard", card="a/colors") == {"success": True}
    assert client.post("DeleteWildcard", card="a/colors") == {"error": "Model not found."}
    assert client.post("DescribeModel", modelName="a/Colors", subtype="Wildcards") == {"error": "Model not found."}
    assert client.http.get("/ViewSpecial/Wildcards/a/Colors").status_code == 404
    assert not list((world.data / "Wildcards").iterdir())


def test_a_refresh_finds_wildcards_put_there_by_hand(client: SwarmClient, world: World) -> None:
    (world.data / "Wildcards" / "by hand.txt").write_text("x")
    assert client.post("ListT2IParams")["wildcards"] == []
    assert client.post("TriggerRefresh", refreshType="wildcards")["wildcards"] == ["by hand"]


def test_a_picture_is_drawn_with_wildcards(client: SwarmClient) -> None:
    client.post("EditWildcard", card="animals", options="cat")
    [url] = client.generate(model="tiny", prompt="a <wc:animals>", steps=1, seed=1, width=64, height=64)["images"]
    listed = client.post("ListImages", path="", depth=4)["files"]
    metadata = json.loads(listed[0]["metadata"])
    assert metadata["sui_image_params"]["prompt"] == "a cat"
    assert metadata["sui_extra_data"]["used_wildcards"] == ["animals"]
    assert url


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"url": "ftp://huggingface.co/x", "type": "VAE", "name": "a"}, {"error": "Invalid URL."}),
        ({"url": "https://huggingface.co/x", "type": "Nothing", "name": "a"}, {"error": "Invalid type."}),
        ({"url": "https://huggingface.co/x", "type": "VAE", "name": "../"}, {"error": "Invalid empty name."}),
        (
            {"url": "https://huggingface.co/x", "type": "Stable-Diffusion", "name": "tiny"},
            {"error": "Model at that save path already exists."},
        ),
    ],
)
def test_downloads_that_cannot_start(client: SwarmClient, body: dict[str, Any], answer: dict[str, Any]) -> None:
    assert socket_frames(client, **body) == [answer]


@pytest.mark.case("T30")
@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://127.0.0.1/",
            "http://localhost/",
            "http://0/",
            "http://0x7f.1/",
            "http://2130706433/",
            "http://[::1]/",
        ),
        *("http://[::ffff:127.0.0.1]/", "http://169.254.169.254/", "http://10.0.0.1/", "http://100.64.0.1/"),
        *("http://metadata.google.internal/", "http://[fd00::1]/", "https://huggingface.co.evil.tld/"),
        "https://huggingface.co:22/",
    ],
)
def test_downloads_never_reach_inside(client: SwarmClient, world: World, url: str) -> None:
    first, last = socket_frames(client, url=url, type="VAE", name="a")
    assert first == {"current_percent": 0.0, "overall_percent": 0.2, "per_second": 0}
    assert last["error_id"] == "blocked_address"
    assert not list((world.models / "VAE").iterdir())


@pytest.mark.case("T33")
@pytest.mark.parametrize("url", ["http://a@127.0.0.1/", "http://huggingface.co@evil/", "http://x\r\ny/"])
def test_odd_addresses(client: SwarmClient, url: str) -> None:
    assert socket_frames(client, url=url, type="VAE", name="a")[-1] == {"error": "Invalid URL."}


@pytest.mark.case("T36")
@pytest.mark.parametrize(
    "url",
    ["https://civitai.com.evil/", "http://civitai.com/", "https://civitai.red.evil/", "", "https://civitai.red@x/"],
)
def test_metadata_requests_go_to_civitai_only(client: SwarmClient, url: str) -> None:
    assert client.post("ForwardMetadataRequest", url=url) == {"error": "Invalid URL."}

"""Counting tokens, wiping metadata, and the routes for people who work on the server (swarm-core 6.6, 7.1, 7.3)."""

from __future__ import annotations

import json

import pytest

from tests.conftest import Serve, World
from tests.support.client import SwarmClient


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"text": "a cat"}, 2),
        ({"text": ""}, 0),
        ({"text": "a (cat:1.5) sits"}, 3),
        ({"text": "a (cat:1.5) sits", "weighting": False}, 9),
        ({"text": "one two three<break>four"}, 3),
        ({"text": "a <random:cat,big dog> <comment:hello>", "skipPromptSyntax": True}, 3),
        ({"text": "a cat <segment:face> much more", "skipPromptSyntax": True}, 2),
        ({"text": "a <repeat[3]:very> big cat", "skipPromptSyntax": True}, 6),
    ],
)
def test_counting(client: SwarmClient, body: dict[str, object], count: int) -> None:
    assert client.post("CountTokens", **body) == {"count": count}


def test_details(client: SwarmClient) -> None:
    assert client.post("TokenizeInDetail", text="a (cat:1.5)") == {
        "tokens": [{"id": 320, "weight": 1.0, "text": "a</w>"}, {"id": 2368, "weight": 1.5, "text": "cat</w>"}]
    }


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"text": "a" * 102_401}, "Text too long, refused."),
        ({"text": "a", "tokenset": "../clip"}, "Invalid tokenset (refused characters or format), refused."),
        ({"text": "a", "tokenset": ""}, "Invalid tokenset (refused characters or format), refused."),
        ({"text": "a", "tokenset": "t5"}, "Tokenset 't5' does not exist."),
    ],
)
def test_refusals(client: SwarmClient, body: dict[str, object], sentence: str) -> None:
    assert client.post("CountTokens", **body) == {"error": sentence}
    assert client.post("TokenizeInDetail", **body) == {"error": sentence}


def test_metadata_is_read_anew_after_a_wipe(client: SwarmClient) -> None:
    made = client.generate(model="tiny", prompt="a cat", steps=1, width=64, height=64)
    before = client.post("ListImages", path="", depth=5)
    assert made["images"] and before["files"]
    assert client.post("WipeMetadata") == {"success": True}
    assert client.post("ListImages", path="", depth=5) == before
    assert [model["name"] for model in client.post("ListModels", path="", depth=1)["files"]] == ["tiny.safetensors"]


def test_debug_routes_write_into_the_data_folder(world: World, serve: Serve) -> None:
    client = serve()
    assert client.post("DebugLanguageAdd", set=["Generate", "Cancel"]) == {"success": True}
    assert client.post("DebugLanguageAdd", set=["Again"]) == {"success": True}
    words = json.loads((world.data / "language-words.json").read_text())
    assert words == {"Again": "", "Cancel": "", "Generate": ""}
    assert client.post("DebugGenDocs") == {"success": True}
    assert "ListServerSettings" in (world.data / "DebugNewAPIDocs" / "routes.md").read_text()

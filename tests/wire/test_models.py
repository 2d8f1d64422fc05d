"""The model routes' exact shapes (swarm-models-backends 1.6, 1.7)."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS, write_model

MODEL_KEYS = [
    *("name", "title", "author", "description", "preview_image", "loaded", "architecture", "class", "compat_class"),
    *("resolution", "standard_width", "standard_height", "license", "date", "prediction_type", "usage_hint"),
    *("trigger_phrase", "merged_from", "tags", "is_supported_model_format", "is_negative_embedding"),
    *("lora_default_weight", "lora_default_confinement", "local", "time_created", "time_modified", "hash"),
    *("hash_sha256", "special_format"),
]
IDLE = {"waiting_gens": 0, "loading_models": 0, "waiting_backends": 0, "live_gens": 0}


@pytest.fixture
def shelf(world: World, serve: Serve) -> SwarmClient:
    """A server with models at three depths; `b/zwei` is the newest file and `tiny` the oldest."""
    folder = world.models / "Stable-Diffusion"
    about = {"modelspec.title": "Aardvark", "modelspec.author": "me", "modelspec.tags": "x, y"}
    write_model(folder / "b" / "zwei.safetensors", SD15_TENSORS, **about)
    write_model(folder / "b" / "c" / "drei.safetensors")
    for age, name in enumerate(["b/zwei", "b/c/drei", "tiny"]):
        moment = 1_700_000_000 - age * 1000
        os.utime(folder / f"{name}.safetensors", (moment, moment))
    return serve()


def names(answer: dict[str, Any]) -> list[str]:
    return [model["name"].removesuffix(".safetensors") for model in answer["files"]]


def test_a_model_has_every_key_in_order(shelf: SwarmClient) -> None:
    listed = shelf.post("ListModels", path="", depth=3)
    assert list(listed) == ["folders", "files"]
    assert all(list(model) == MODEL_KEYS for model in listed["files"])
    described = shelf.post("DescribeModel", modelName="b/zwei")
    assert list(described) == ["model"]
    model = described["model"]
    assert list(model) == MODEL_KEYS
    assert (model["name"], model["title"], model["author"]) == ("b/zwei.safetensors", "Aardvark", "me")
    assert (model["architecture"], model["compat_class"]) == ("stable-diffusion-v1", "stable-diffusion-v1")
    assert (model["resolution"], model["standard_width"], model["standard_height"]) == ("512x512", 512, 512)
    assert (model["tags"], model["local"], model["loaded"]) == (["x", "y"], True, False)
    assert (model["time_modified"], model["hash"], model["hash_sha256"]) == (1_700_000_000_000, "", "")
    assert model["preview_image"] == "imgs/model_placeholder.jpg"
    assert shelf.post("DescribeModel", modelName="b/zwei.safetensors") == described


def test_the_pseudo_model_is_described_with_the_same_keys(shelf: SwarmClient) -> None:
    model = shelf.post("DescribeModel", modelName="(NONE)")["model"]
    assert list(model) == MODEL_KEYS
    assert (model["name"], model["description"], model["loaded"]) == ("(None)", "No model selected.", False)


@pytest.mark.parametrize(
    ("path", "depth", "folders", "files"),
    [
        ("", 1, ["b"], ["tiny"]),
        ("", 2, ["b", "b/c"], ["b/zwei", "tiny"]),
        ("", 3, ["b", "b/c"], ["b/c/drei", "b/zwei", "tiny"]),
        ("", 0, ["b"], ["tiny"]),
        ("", -5, ["b"], ["tiny"]),
        ("b", 1, ["c"], ["b/zwei"]),
        ("/b//", 9999, ["c"], ["b/c/drei", "b/zwei"]),
        ("b\\c", 1, [], ["b/c/drei"]),
        ("B", 1, [], []),
        ("none", 1, [], []),
    ],
)
def test_folders_and_depth(shelf: SwarmClient, path: str, depth: int, folders: list[str], files: list[str]) -> None:
    answer = shelf.post("ListModels", path=path, depth=depth)
    assert (sorted(answer["folders"]), names(answer)) == (folders, files)


@pytest.mark.parametrize(
    ("order", "files"),
    [
        ("name", ["b/c/drei", "b/zwei", "tiny"]),
        ("Title", ["b/zwei", "b/c/drei", "tiny"]),
        ("DATEMODIFIED", ["b/zwei", "b/c/drei", "tiny"]),
    ],
)
def test_orders(shelf: SwarmClient, order: str, files: list[str]) -> None:
    assert names(shelf.post("ListModels", path="", depth=3, sortBy=order)) == files
    assert names(shelf.post("ListModels", path="", depth=3, sortBy=order, sortReverse=True)) == files[::-1]


def test_what_is_missing_or_wrong_is_named(shelf: SwarmClient) -> None:
    assert shelf.post("ListModels", depth=1) == {"error": "Missing required parameter 'path'"}
    assert shelf.post("ListModels", path="") == {"error": "Missing required parameter 'depth'"}
    assert shelf.post("DescribeModel") == {"error": "Missing required parameter 'modelName'"}
    assert shelf.post("DescribeModel", modelName=" ") == {"error": "Invalid empty name."}
    assert shelf.post("DescribeModel", modelName="tiny", subtype="stable-diffusion") == {"error": "Invalid sub-type."}
    assert shelf.post("DescribeModel", modelName="tiny", subtype="LoRA") == {"error": "Model not found."}
    assert shelf.post("DescribeModel", modelName="x", subtype="Wildcards") == {"error": "Model not found."}
    assert shelf.post("SelectModel") == {"error": "Missing required parameter 'model'"}
    assert shelf.post("SelectModel", model="none") == {"error": "Model not found."}


def test_a_loaded_model_is_marked_everywhere(shelf: SwarmClient) -> None:
    assert shelf.post("ListLoadedModels") == {"models": []}
    assert shelf.post("SelectModel", model="b/zwei", backendId="0") == {"success": True}
    (loaded,) = shelf.post("ListLoadedModels")["models"]
    assert (list(loaded), loaded["name"], loaded["loaded"]) == (MODEL_KEYS, "b/zwei.safetensors", True)
    listed = shelf.post("ListModels", path="", depth=3)
    assert {model["name"]: model["loaded"] for model in listed["files"]} == {
        "b/c/drei.safetensors": False,
        "b/zwei.safetensors": True,
        "tiny.safetensors": False,
    }
    assert shelf.post("ListBackends", full_data=True)["0"]["current_model"] == "b/zwei.safetensors"


def test_loading_counts_in_the_sessions_status(world: World, serve: Serve) -> None:
    world.backends(LoadMilliseconds=600)
    client = serve()
    first, result, last = list(client.stream("SelectModelWS", model="tiny"))
    assert first["status"] == {**IDLE, "loading_models": 1}
    assert result == {"success": True}
    assert last["status"] == IDLE
    write_model(world.models / "Stable-Diffusion" / "other.safetensors")
    client.post("TriggerRefresh")
    thread = threading.Thread(target=client.post, args=("SelectModel",), kwargs={"model": "other"})
    thread.start()
    seen: list[dict[str, int]] = []
    with SwarmClient(client.base) as watcher:
        while thread.is_alive():
            status = watcher.raw("GetCurrentStatus", {"session_id": client.session_id}).json()["status"]
            seen.append(status)
            time.sleep(0.02)
        assert watcher.post("GetCurrentStatus")["status"] == IDLE
    thread.join()
    assert {**IDLE, "loading_models": 1} in seen
    assert client.post("GetCurrentStatus")["status"] == IDLE


def test_a_model_that_no_backend_can_load_is_said_so(world: World, serve: Serve) -> None:
    world.backends(FailLoad="It is too heavy.")
    client = serve()
    assert client.post("SelectModel", model="tiny") == {"error": "Model failed to load."}
    first, result, last = list(client.stream("SelectModelWS", model="tiny"))
    assert result == {"error": "Model failed to load."}
    assert list(first) == list(last) == ["status", "backend_status", "supported_features"]
    answer = client.generate(model="tiny", prompt="x", steps=1, width=64, height=64)
    assert answer["error"].startswith("All available backends failed to load the model '")
    assert answer["error"].endswith("'.\n\nPossible reason: It is too heavy.")

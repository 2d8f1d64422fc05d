"""The eight backend routes, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, sleep
from typing import Any

import pytest

from tests.support.client import SwarmClient


@pytest.fixture
def client(serve: Callable[[], SwarmClient]) -> SwarmClient:
    return serve()


def until_running(client: SwarmClient, backend: str = "0") -> dict[str, Any]:
    """The backend's object once it runs."""
    end = monotonic() + 10
    while monotonic() < end:
        shown: dict[str, Any] = client.post("ListBackends", full_data=True)[backend]
        if shown["status"] == "running":
            return shown
        sleep(0.01)
    raise TimeoutError(backend)


def test_types_are_listed_with_their_forms(client: SwarmClient) -> None:
    listed = client.post("ListBackendTypes")
    assert list(listed) == ["list"]
    for kind in listed["list"]:
        assert list(kind) == ["id", "name", "description", "settings", "is_standard"]
        for entry in kind["settings"]:
            assert list(entry) == ["name", "type", "description", "placeholder", "is_secret", "values", "value_names"]
            assert entry["description"]
    assert "fake" not in [kind["id"] for kind in listed["list"]]


def test_a_backend_is_added_edited_switched_restarted_and_deleted(client: SwarmClient) -> None:
    until_running(client)
    added = client.post("AddNewBackend", type_id="fake")
    assert (added["id"], added["title"], added["enabled"], added["modcount"]) == (1, "", True, 0)
    assert "current_model" not in added
    until_running(client, "1")
    edited = client.post("EditBackend", backend_id=1, title="Second", settings={"MaxUsages": "9"})
    assert (edited["title"], edited["max_usages"], edited["modcount"]) == ("Second", 9, 1)
    until_running(client, "1")
    assert client.post("ToggleBackend", backend_id=1, enabled=False) == {"result": "Success."}
    assert client.post("ToggleBackend", backend_id=1, enabled=False) == {"result": "No change."}
    assert client.post("ListBackends")["1"]["status"] == "disabled"
    assert client.post("RestartBackends") == {"result": "Success.", "count": 1}
    until_running(client)
    assert client.post("FreeBackendMemory") == {"result": True, "count": 0}
    assert client.post("FreeBackendMemory", backend="5") == {"result": False, "count": 0}
    assert client.post("DeleteBackend", backend_id=1) == {"result": "Deleted."}
    assert client.post("DeleteBackend", backend_id=1) == {"result": "Already didn't exist."}
    assert list(client.post("ListBackends", nonreal=True)) == ["0"]


def test_errors_are_the_documented_sentences(client: SwarmClient) -> None:
    until_running(client)
    assert client.post("AddNewBackend", type_id="magic") == {"error": "Invalid backend type: magic"}
    assert client.post("EditBackend", backend_id=9, title="", settings={}) == {"error": "Invalid backend ID 9"}
    assert client.post("EditBackend", backend_id=0, title="") == {"error": "Missing settings."}
    assert client.post("ToggleBackend", backend_id=9, enabled=True) == {"error": "Invalid backend ID 9"}
    client.post("AddNewBackend", type_id="fake")
    taken = client.post("EditBackend", backend_id=0, title="", settings={}, new_id=1)
    assert taken == {"error": "Backend ID 1 is already in use."}


def test_the_status_message_follows_the_backends(client: SwarmClient) -> None:
    until_running(client)
    status = client.post("GetCurrentStatus")
    assert status["backend_status"] == {"status": "running", "class": "", "message": "", "any_loading": False}
    assert status["supported_features"] == ["comfyui", "endstepsearly", "variation_seed"]
    client.post("ToggleBackend", backend_id=0, enabled=False)
    status = client.post("GetCurrentStatus")
    assert status["backend_status"]["status"] == "all_disabled"
    assert status["supported_features"] == []

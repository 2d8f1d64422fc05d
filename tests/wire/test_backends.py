"""Backend routes through the real server: key order, settings kept, jobs waited for (swarm-models-backends 3.3)."""

from __future__ import annotations

import threading
import time
from typing import Any

from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from swarm.settings.user import UserSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 4, "seed": 5, "width": 64, "height": 64}
BACKEND_KEYS = [
    *("type", "status", "id", "settings", "modcount", "features", "enabled", "title", "max_usages"),
    *("seconds_since_used", "time_since_used", "can_load_models"),
]
SETTING_TYPES = {"text", "integer", "decimal", "boolean", "dropdown", "list", "group"}


def until(client: SwarmClient, backend: str, status: str) -> dict[str, Any]:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        shown: dict[str, Any] = client.post("ListBackends")[backend]
        if shown["status"] == status:
            return shown
        time.sleep(0.02)
    raise TimeoutError(f"backend {backend} is not {status}")


def test_types(client: SwarmClient) -> None:
    answer = client.post("ListBackendTypes")
    assert list(answer) == ["list"]
    found = {kind["id"]: kind for kind in answer["list"]}
    assert {"diffusers_selfstart"} <= set(found)
    for kind in found.values():
        assert list(kind) == ["id", "name", "description", "settings", "is_standard"]
        for entry in kind["settings"]:
            assert list(entry) == ["name", "type", "description", "placeholder", "is_secret", "values", "value_names"]
            assert entry["type"] in SETTING_TYPES
            assert (entry["values"] is None) == (entry["type"] != "dropdown")
            assert entry["values"] is None or len(entry["values"]) == len(entry["value_names"])
    names = [entry["name"] for entry in found["diffusers_selfstart"]["settings"]]
    assert names[:2] == ["GPU_ID", "OverQueue"]


def test_a_backend_object(client: SwarmClient) -> None:
    shown = until(client, "0", "running")
    assert list(shown) == BACKEND_KEYS
    assert (shown["type"], shown["id"], shown["modcount"], shown["title"]) == ("fake", 0, 0, "")
    assert (shown["seconds_since_used"], shown["time_since_used"]) == (0, "Never")
    assert shown["settings"]["StepMilliseconds"] == 0 and isinstance(shown["settings"]["AutoRestart"], bool)
    (full,) = client.post("ListBackends", full_data=True, nonreal="true").values()
    assert list(full) == [*BACKEND_KEYS, "current_model"]
    assert full["current_model"] is None
    client.generate(**SMALL)
    (used,) = client.post("ListBackends", full_data=True).values()
    assert used["current_model"] == "tiny.safetensors"
    assert used["time_since_used"] in ("0 seconds from now", "1 second ago", "2 seconds ago")


def test_a_new_backend_is_answered_kept_and_numbered(world: World, client: SwarmClient) -> None:
    added = client.post("AddNewBackend", type_id="fake")
    assert list(added) == BACKEND_KEYS
    assert (added["id"], added["enabled"]) == (1, True)
    assert client.post("DeleteBackend", backend_id="1") == {"result": "Deleted."}
    assert client.post("AddNewBackend", type_id="fake")["id"] == 2
    assert list(client.post("ListBackends")) == ["0", "2"]
    edited = client.post("EditBackend", backend_id=2, title="Tü", settings={"MaxUsages": 3}, new_id=7)
    assert (list(edited), edited["id"], edited["title"], edited["modcount"]) == (BACKEND_KEYS, 7, "Tü", 1)
    assert edited["settings"]["MaxUsages"] == 3
    assert list(client.post("ListBackends")) == ["0", "7"]
    kept = (world.data / "Backends.fds").read_text(encoding="utf-8")
    assert "Tü" in kept and "\n7:" in "\n" + kept
    assert client.post("EditBackend", backend_id=2, title="", settings={}) == {"error": "Invalid backend ID 2"}


def test_wrong_or_missing_arguments_are_named(client: SwarmClient) -> None:
    assert client.post("AddNewBackend") == {"error": "Missing required parameter 'type_id'"}
    assert client.post("EditBackend", title="x", settings={}) == {"error": "Missing required parameter 'backend_id'"}
    assert client.post("EditBackend", backend_id=0, settings={}) == {"error": "Missing required parameter 'title'"}
    unusable: list[Any] = [None, [], "x"]
    for settings in unusable:
        answer = client.post("EditBackend", backend_id=0, title="", settings=settings)
        assert answer == {"error": "Missing settings."}, settings
    assert client.post("DeleteBackend", backend_id="zero") == {
        "error": "Invalid value 'zero' for parameter 'backend_id', must be type 'Int32'"
    }
    assert client.post("ToggleBackend", backend_id=0, enabled="on") == {
        "error": "Invalid value 'on' for parameter 'enabled', must be type 'Boolean'"
    }
    assert client.post("RestartBackends", backend="9") == {"result": "Success.", "count": 0}
    answer = client.post("EditBackend", backend_id=0, title="", settings={"StepMilliseconds": "soon"})
    assert list(answer) == ["error"]
    assert until(client, "0", "running")["modcount"] == 0


def test_a_disabled_backend_refuses_and_an_enabled_one_works_again(client: SwarmClient) -> None:
    until(client, "0", "running")
    assert client.post("ToggleBackend", backend_id=0, enabled=False) == {"result": "Success."}
    assert client.post("ListBackends")["0"]["status"] == "disabled"
    assert client.generate(**SMALL) == {"error": "No backends available!"}
    assert client.post("FreeBackendMemory") == {"result": False, "count": 0}
    assert client.post("RestartBackends") == {"result": "Success.", "count": 0}
    assert client.post("ToggleBackend", backend_id=0, enabled=True) == {"result": "Success."}
    assert client.post("ToggleBackend", backend_id=0, enabled=True) == {"result": "No change."}
    assert len(client.generate(**SMALL)["images"]) == 1


def test_a_restart_waits_for_the_work_inside(world: World, serve: Serve) -> None:
    world.backends(StepMilliseconds=80)
    client = serve()
    heard: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: heard.append(client.generate(**{**SMALL, "steps": 10})))
    thread.start()
    with SwarmClient(client.base) as other:
        end = time.monotonic() + 20
        body = {"session_id": client.session_id}
        while time.monotonic() < end and not other.raw("GetCurrentStatus", body).json()["status"]["live_gens"]:
            time.sleep(0.01)
        assert other.post("RestartBackends") == {"result": "Success.", "count": 1}
    thread.join(30)
    assert len(heard[0]["images"]) == 1


def test_requests_no_backend_fits_are_refused_with_reasons(client: SwarmClient) -> None:
    until(client, "0", "running")
    client.post("AddNewBackend", type_id="fake")
    until(client, "1", "running")
    client.post("ToggleBackend", backend_id=1, enabled=False)
    answer = client.generate(**SMALL, exactbackendid=1)
    assert answer == {
        "error": "No backends match the settings of the request given! Backends refused for the following reason(s):"
        "\n- Specific backend ID# requested in advanced parameters did not match"
    }
    answer = client.generate(**SMALL, internalbackendtype="diffusers_selfstart")
    assert answer["error"].endswith("\n- Specific backend type requested in advanced parameters did not match")
    assert len(client.generate(**SMALL, exactbackendid="0", internalbackendtype="any")["images"]) == 1


def test_a_missing_feature_is_named(world: World, serve: Serve) -> None:
    world.backends(Features="comfyui")
    client = serve()
    answer = client.generate(**SMALL, sampler="euler", variationseed=3, variationseedstrength=0.5)
    assert answer["error"].endswith("\n- Request requires flag 'variation_seed' which is not present on the backend")
    assert len(client.generate(**SMALL, sampler="euler")["images"]) == 1


def test_who_may_do_what(world: World, serve: Serve) -> None:
    save_settings(ServerSettings(default_user=UserSettings(roles=("poweruser",))), world.data / "Settings.fds")
    client = serve()
    assert "0" in client.post("ListBackends")
    assert client.post("RestartBackends", backend="9")["count"] == 0
    refused = {"error_id": "bad_permissions", "error": "You lack permissions for this route."}
    assert client.post("AddNewBackend", type_id="fake") == refused
    assert client.post("EditBackend", backend_id=0, title="", settings={}) == refused
    assert client.post("ToggleBackend", backend_id=0, enabled=False) == refused
    assert client.post("DeleteBackend", backend_id=0) == refused

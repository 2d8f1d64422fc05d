"""Server settings, lifecycle, resources and connected users (swarm-core 6.1, 6.2, 6.4, 6.5, 9.3)."""

from __future__ import annotations

import time
from typing import Any

from swarm.settings.file import load_settings
from swarm.settings.server import ServerSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

PLAIN = ["type", "name", "value", "description", "values", "value_names", "is_secret", "default_value"]


def listed(client: SwarmClient) -> dict[str, Any]:
    found: dict[str, Any] = client.post("ListServerSettings")["settings"]
    return found


def change(client: SwarmClient, **settings: Any) -> dict[str, Any]:
    return client.post(
        "ChangeServerSettings", settings={key.replace("__", "."): each for key, each in settings.items()}
    )


def test_the_settings_map(client: SwarmClient) -> None:
    settings = listed(client)
    assert list(settings)[:4] == ["paths", "metadata", "network", "defaultuser"]
    assert list(settings["network"]) == PLAIN[:-1]
    assert settings["network"]["type"] == "group"
    port = settings["network"]["value"]["port"]
    assert list(port) == PLAIN
    assert (port["type"], port["name"], port["value"], port["default_value"]) == ("integer", "Port", 7801, 7801)
    level = settings["logs"]["value"]["loglevel"]
    assert (level["type"], level["value"], level["values"][0]) == ("dropdown", "Info", "Verbose")
    assert settings["defaultuser"]["value"]["roles"]["value"] == "owner"


def test_a_change_acts_is_listed_and_is_kept(world: World, serve: Serve) -> None:
    client = serve()
    assert change(client, Network__OutputCacheSeconds="77", paths__appendusernametooutputpath=False) == {
        "success": True
    }
    assert listed(client)["network"]["value"]["outputcacheseconds"]["value"] == 77
    assert client.raw("GetNewSession", {}).json()["output_append_user"] is False
    kept = load_settings(world.data / "Settings.fds")
    assert (kept.network.output_cache_seconds, kept.paths.append_user_name_to_output_path) == (77, False)


def test_defaults_of_users_reach_those_who_are_there(client: SwarmClient) -> None:
    assert change(client, defaultuser__outpathbuilder__format="raw/[prompt]") == {"success": True}
    picture = client.generate(model="tiny", prompt="a cat", steps=1, width=64, height=64)
    assert picture["images"][0].endswith("raw/a cat.png") or "a%20cat" in picture["images"][0]


def test_what_other_programs_keep_in_the_file_stays(world: World, serve: Serve) -> None:
    (world.data / "Settings.fds").write_text("IsInstalled: true\nNetwork:\n    CloudflaredPath: /usr/bin/cf\n")
    client = serve()
    assert change(client, network__outputcacheseconds=5) == {"success": True}
    text = (world.data / "Settings.fds").read_text()
    assert "IsInstalled: true" in text and "CloudflaredPath: /usr/bin/cf" in text and "OutputCacheSeconds: 5" in text


def test_a_value_of_the_wrong_type_changes_nothing(client: SwarmClient) -> None:
    answer = change(client, network__outputcacheseconds=5, network__port="many")
    assert answer == {"error": "The setting 'network.port' needs a number."}
    assert listed(client)["network"]["value"]["outputcacheseconds"]["value"] == 30


def test_values_that_would_lock_everyone_out_are_refused(client: SwarmClient) -> None:
    for path, value in {
        "network.port": 0,
        "network.maxnetworkrequestmegabytes": 0,
        "logs.loglevel": "Loud",
        "backends.modelloadorderpreference": "x",
        "defaultuser.roles": [],
    }.items():
        assert list(client.post("ChangeServerSettings", settings={path: value})) == ["error"], path
    assert listed(client) == listed(client)


def test_unknown_paths_and_groups_are_skipped(client: SwarmClient) -> None:
    before = listed(client)
    assert change(client, nowhere=1, network=2, paths__nothing="x") == {"success": True}
    assert listed(client) == before
    assert list(client.post("ChangeServerSettings")) == ["error"]
    assert list(client.post("ChangeServerSettings", settings=[1])) == ["error"]


def test_resources(client: SwarmClient) -> None:
    found = client.post("GetServerResourceInfo")
    assert list(found)[:2] == ["cpu", "system_ram"] and set(found) <= {"cpu", "system_ram", "gpus"}
    assert found["cpu"]["cores"] >= 1 and found["cpu"]["usage"] >= 0.0
    ram = found["system_ram"]
    assert list(ram) == ["total", "used", "free"] and ram["total"] == ram["used"] + ram["free"]
    keys = "id name temperature utilization_gpu utilization_memory total_memory free_memory used_memory"
    assert all(" ".join(gpu) == keys for gpu in found.get("gpus", {}).values())


def test_connected_users(client: SwarmClient) -> None:
    client.post("InterruptAll")
    with SwarmClient(client.base) as other:
        other.raw("GetNewSession", {}, **{"X-SWARM-USER_ID": "anna"})
    users = client.post("ListConnectedUsers")["users"]
    assert [user["id"] for user in users] == ["anna", "local"]
    keys = "id last_active_seconds active_sessions last_active waiting_gens loading_models waiting_backends live_gens"
    assert list(users[1]) == keys.split()
    assert users[1]["active_sessions"] == [{"address": "127.0.0.1", "count": 1}]
    assert users[1]["last_active"].endswith("seconds ago") and users[1]["live_gens"] == 0


def test_the_status_of_everyone_has_the_shape_of_ones_own(client: SwarmClient) -> None:
    assert client.post("GetGlobalStatus") == client.post("GetCurrentStatus")


def test_updates_are_neither_looked_for_nor_made(client: SwarmClient) -> None:
    found = client.post("CheckForUpdates")
    assert found["server"]["count"] == 0 and "does not update itself" in found["server"]["preview"][0]
    assert found["extensions"] == found["backends"] == {}
    assert client.post("UpdateAndRestart") == {"success": False, "result": "No changes found."}
    answer = client.post("UpdateAndRestart", doUpdateServer=True)
    assert answer["success"] is False and "does not update itself" in answer["result"]
    assert client.post("InstallDotnetUpdate") == {"error": "This API route is only valid on Windows."}
    assert client.post("AdminTakeControl") == {"success": True}


def test_there_is_nothing_left_to_install(client: SwarmClient) -> None:
    wanted = {"theme": "modern_dark", "installed_for": "just_self", "backend": "none", "models": "none"}
    told = list(client.stream("InstallConfirmWS", **wanted, install_amd=False, language="en"))
    assert told == [{"error": "Server is already installed!"}]


def test_a_server_that_another_program_runs_cannot_be_ended(client: SwarmClient) -> None:
    assert client.post("ShutdownServer") == {"error": "Another program runs this server, and only that can stop it."}
    assert list(client.post("UpdateAndRestart", force=True)) == ["error"]


def test_health_and_metrics(client: SwarmClient) -> None:
    assert client.http.get("/health/live").json()["status"] == "live"
    end = time.monotonic() + 20
    while (ready := client.http.get("/health/ready")).status_code != 200 and time.monotonic() < end:
        assert ready.json()["status"] == "not ready" and ready.json()["reason"]
        time.sleep(0.05)
    assert ready.json() == {"status": "ready"}
    client.generate(model="tiny", prompt="a cat", steps=1, width=64, height=64)
    metrics = client.http.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'swarm_jobs{state="stored"} 1' in metrics.text and 'swarm_backends{status="running"} 1' in metrics.text


def test_shutdown_and_restart_of_a_server_of_its_own(world: World) -> None:
    server = ServerProcess(world.folder, free_port(), log=world.folder / "log.txt")
    try:
        server.wait_until_up()
        with SwarmClient(server.base) as client:
            assert client.post("UpdateAndRestart", force=True)["success"] is True
            first = client.raw("GetNewSession", {}).json()["server_id"]
            end = time.monotonic() + 60
            second = first
            while second == first and time.monotonic() < end:
                time.sleep(0.2)
                server.wait_until_up()
                try:
                    second = client.raw("GetNewSession", {}).json()["server_id"]
                except OSError:
                    continue
            assert second != first and server.child.poll() is None
            assert client.post("ShutdownServer") == {"success": True}
        assert server.child.wait(30) == 0
    finally:
        server.stop()
    assert load_settings(world.data / "Settings.fds") == ServerSettings()

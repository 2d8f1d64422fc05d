"""What a user keeps on the server, over the wire (swarm-core 5.5 to 5.18)."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from tests.support.client import SwarmClient


def test_my_user_data_of_a_fresh_user(client: SwarmClient) -> None:
    answer = client.post("GetMyUserData")
    expected = {
        "user_name": "local",
        "presets": [],
        "language": "en",
        "permissions": client.raw("GetNewSession", {}).json()["permissions"],
        "starred_models": {},
        "model_preset_links": {},
        "autocompletions": None,
    }
    assert list(answer.items()) == list(expected.items())


def test_stars_and_links_are_kept_whole(client: SwarmClient) -> None:
    stars = {"LoRA": ["one", "zwei ü"], "anything": [1, None, {"a": 0.5}]}
    assert client.post("SetStarredModels", **{"LoRA": ["old"], "VAE": []}) == {"success": True}
    assert client.post("SetStarredModels", **stars) == {"success": True}
    assert client.post("SetPresetLinks", LoRA={"name": ["Preset"]}) == {"success": True}
    other = client.raw("GetNewSession", {}, **{"X-SWARM-USER_ID": "other"}).json()["session_id"]
    assert client.raw("GetMyUserData", {"session_id": other}).json()["starred_models"] == {}
    data = client.post("GetMyUserData")
    assert (data["starred_models"], data["model_preset_links"]) == (stars, {"LoRA": {"name": ["Preset"]}})


def test_param_edits_come_back_with_the_parameters(client: SwarmClient) -> None:
    assert client.post("ListT2IParams")["param_edits"] is None
    edits: dict[str, Any] = {"params": {"steps": {"visible": False}}, "groups": {}}
    assert client.post("SetParamEdits", edits=edits) == {"success": True}
    assert client.post("ListT2IParams")["param_edits"] == edits
    for bad in ({}, {"edits": None}, {"edits": [1]}, {"edits": "x"}):
        assert client.post("SetParamEdits", **bad) == {"error": "The object 'edits' is missing."}
    assert client.post("ListT2IParams")["param_edits"] == edits


def test_what_is_nested_too_deeply_is_refused(client: SwarmClient) -> None:
    deep: Any = {}
    for _ in range(300):
        deep = {"a": deep}
    for route, body in (("SetParamEdits", {"edits": deep}), ("SetStarredModels", deep)):
        assert client.post(route, **body) == {"error": "This is nested too deeply to be kept."}


def test_languages(client: SwarmClient) -> None:
    assert client.post("GetLanguage", language="en") == {
        "language": {"code": "en", "name": "English", "local_name": "English", "keys": {}}
    }
    for code in ("EN", "xx", ""):
        assert client.post("GetLanguage", language=code) == {"error": "No such language."}


def test_a_debug_message_is_one_line_of_the_log(client: SwarmClient, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="swarm.api.routes.user"):
        assert client.post("ServerDebugMessage", message="hello\n12:00 [Error] forged\x1b[0m") == {"success": True}
    assert [record.getMessage() for record in caplog.records if "hello" in record.getMessage()] == [
        "local says: hello 12:00 [Error] forged [0m"
    ]


def test_without_accounts_there_is_nothing_to_log_out_of(client: SwarmClient) -> None:
    assert client.post("Logout") == {"error": "Authorization is not enabled, you have no account to log out of."}
    for route, body in (
        ("ListMyAuthTokens", {}),
        ("RevokeMyAuthToken", {"tokenId": "x"}),
        ("CreateAuthToken", {"reason": "x"}),
    ):
        assert client.post(route, **body) == {"error": "Authorization is not enabled."}


def test_api_keys_are_never_shown(client: SwarmClient) -> None:
    assert client.post("GetAPIKeyStatus", keyType="civitai_api") == {"status": "not set"}
    assert client.post("SetAPIKey", keyType="civitai_api", key="s3cret-value") == {"success": True}
    status = client.post("GetAPIKeyStatus", keyType="civitai_api")
    assert re.fullmatch(r"last updated \d{4}-\d\d-\d\d \d\d:\d\d", status["status"])
    shown = [
        client.raw(route, {"session_id": client.session_id}).text for route in ("GetMyUserData", "GetUserSettings")
    ]
    assert not any("s3cret" in text for text in shown)
    assert client.post("SetAPIKey", keyType="civitai_api", key="none") == {"success": True}
    assert client.post("GetAPIKeyStatus", keyType="civitai_api") == {"status": "not set"}
    assert client.post("SetAPIKey", keyType="other", key="x") == {"error": "Invalid key type 'other'."}
    assert client.post("GetAPIKeyStatus", keyType="other") == {"status": "not set"}


def test_a_password_may_be_set_for_later(client: SwarmClient) -> None:
    assert client.post("ChangePassword", oldPassword="", newPassword="short") == {
        "error": "New password must be at least 8 characters long."
    }
    assert client.post("ChangePassword", oldPassword="", newPassword="long enough") == {"success": True}
    assert client.post("ChangePassword", oldPassword="wrong", newPassword="long enough") == {
        "error": "Incorrect old password. Refused."
    }

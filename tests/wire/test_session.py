"""Sessions and the API's own answers, as the first lines of any client meet them (swarm-core 1 and 2)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.conftest import Serve, World
from tests.support.client import SwarmClient

INVALID = {"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}
INTERNAL = {"error_id": "internal_error", "error": "An internal error occurred"}
MISSING = {"error_id": "basic_api", "error": "missing session id"}
NO_PERMISSION = {"error": "You lack permissions for this route.", "error_id": "bad_permissions"}


def told(client: SwarmClient, route: str, message: str, **headers: str) -> dict[str, Any]:
    """The one message that a socket route answers a first message with, before it closes normally."""
    with client.socket(route, **headers) as socket:
        socket.send(message)
        answer: dict[str, Any] = json.loads(socket.recv(timeout=20))
        assert list(socket) == []
        assert (socket.close_code, socket.close_reason) == (1000, "")
    return answer


def test_a_new_session_tells_who_and_where(client: SwarmClient) -> None:
    answer = client.raw("GetNewSession", {})
    body = answer.json()
    newest = ["session_id", "user_id", "output_append_user", "version", "server_id", "permissions"]
    assert list(body) == [*newest, "count_running"]  # the last for masters of 2024, who insist on it
    assert re.fullmatch("[0-9a-f]{40}", body["session_id"])
    assert (body["user_id"], body["output_append_user"]) == ("local", True)
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["server_id"])
    assert {"*", "basic_image_generation", "fundamental_generate_tab_access"} <= set(body["permissions"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert b": " not in answer.content


def test_every_call_makes_a_session_and_older_ones_stay(client: SwarmClient) -> None:
    ids = {client.raw("GetNewSession", {}).json()["session_id"] for _ in range(3)}
    assert len(ids) == 3
    for session_id in ids:
        assert "status" in client.raw("GetCurrentStatus", {"session_id": session_id}).json()
    servers = {client.raw("GetNewSession", {}).json()["server_id"] for _ in range(2)}
    assert len(servers) == 1


def test_the_header_stands_in_for_the_session_id_and_the_body_wins(client: SwarmClient) -> None:
    mine = client.session_id
    assert "status" in client.raw("GetCurrentStatus", {}, **{"X-Session-ID": mine}).json()
    answer = client.raw("GetCurrentStatus", {"session_id": "0" * 40}, **{"X-Session-ID": mine})
    assert (answer.status_code, answer.json()) == (401, INVALID)
    strangers: list[Any] = [None, 5, "", [], {"a": 1}, True, mine.upper()]
    for value in strangers:
        answer = client.raw("GetCurrentStatus", {"session_id": value}, **{"X-Session-ID": mine})
        assert (answer.status_code, answer.json()) == (401, INVALID), value
    first, result, last = (
        json.loads(text) for text in _conversation(client, "SelectModelWS", {"model": "tiny"}, **{"X-Session-ID": mine})
    )
    assert result == {"success": True} and list(first) == list(last)


def _conversation(client: SwarmClient, route: str, body: dict[str, Any], **headers: str) -> list[str]:
    with client.socket(route, **headers) as socket:
        socket.send(json.dumps(body))
        return [str(text) for text in socket]


def test_an_unknown_session_is_told_on_the_socket_too(client: SwarmClient) -> None:
    assert told(client, "GenerateText2ImageWS", json.dumps({"session_id": "0" * 40, "images": 1})) == INVALID
    assert told(client, "GenerateText2ImageWS", json.dumps({"images": 1})) == MISSING


POSTS: list[tuple[str, Any, int, dict[str, str]]] = [
    ("GetCurrentStatus", {}, 400, MISSING),
    ("NoSuchRoute", {}, 400, MISSING),
    ("GetNewSession/", {}, 400, MISSING),
    ("", {}, 400, MISSING),
    ("NoSuchRoute", {"session_id": "x"}, 401, INVALID),
    ("NoSuchRoute", {"session_id": "MINE"}, 400, {"error_id": "bad_route", "error": "Unknown API route"}),
    ("GetCurrentStatus/", {"session_id": "MINE"}, 400, {"error_id": "bad_route", "error": "Unknown API route"}),
    (
        "GenerateText2ImageWS",
        {"session_id": "MINE"},
        400,
        {"error_id": "bad_request_method", "error": "API route needs websocket, request is HTTP"},
    ),
    ("GenerateText2Image", {"session_id": "MINE"}, 200, {"error": "Missing required parameter 'images'"}),
    (
        "GenerateText2Image",
        {"session_id": "MINE", "images": "1.5"},
        200,
        {"error": "Invalid value '1.5' for parameter 'images', must be type 'Int32'"},
    ),
    (
        "InterruptAll",
        {"session_id": "MINE", "other_sessions": 1},
        200,
        {"error": "Invalid value '1' for parameter 'other_sessions', must be type 'Boolean'"},
    ),
    ("DescribeModel", {"session_id": "MINE", "modelName": "none"}, 200, {"error": "Model not found."}),
    ("GetNewSession", [], 400, INTERNAL),
    ("GetNewSession", "text", 400, INTERNAL),
]


@pytest.mark.parametrize(("route", "body", "status", "expected"), POSTS)
def test_problems_of_a_post_are_told_in_the_documented_order(
    client: SwarmClient, route: str, body: Any, status: int, expected: dict[str, str]
) -> None:
    sent = (
        {**body, "session_id": client.session_id}
        if isinstance(body, dict) and body.get("session_id") == "MINE"
        else body
    )
    answer = client.raw(route, sent)
    assert (answer.status_code, list(answer.json().items())) == (status, list(expected.items()))
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"


SOCKETS: list[tuple[str, str, dict[str, str]]] = [
    ("GenerateText2ImageWS", "what?", INTERNAL),
    ("NoSuchRoute", "{}", MISSING),
    ("NoSuchRoute", '{"session_id": "MINE"}', {"error": "Unknown API route.", "error_id": "bad_route"}),
    (
        "GetCurrentStatus",
        '{"session_id": "MINE"}',
        {"error_id": "bad_request_method", "error": "API route needs HTTP, request is websocket"},
    ),
    (
        "GetNewSession",
        "{}",
        {"error_id": "bad_request_method", "error": "API route needs HTTP, request is websocket"},
    ),
    ("SelectModelWS", '{"session_id": "MINE"}', {"error": "Missing required parameter 'model'"}),
    ("SelectModelWS", '{"session_id": "MINE", "model": "none"}', {"error": "Model not found."}),
]


@pytest.mark.parametrize(("route", "message", "expected"), SOCKETS)
def test_problems_on_a_socket_are_one_message_and_a_normal_close(
    client: SwarmClient, route: str, message: str, expected: dict[str, str]
) -> None:
    answer = told(client, route, message.replace("MINE", client.session_id))
    assert list(answer.items()) == list(expected.items())


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_lead_to_the_page_that_says_so(client: SwarmClient, method: str) -> None:
    explained = () if method in ("GET", "HEAD") else ("/API",)
    for path in ("/API/GetNewSession", "/api/getnewsession", "/API/", *explained):
        answer = client.http.request(method, path)
        assert (answer.status_code, answer.headers["location"], answer.content) == (302, "/Error/NoGetAPI", b"")


def test_content_type_and_length_are_checked_before_the_body(client: SwarmClient) -> None:
    wrong = {"error_id": "basic_api", "error": "Wrong content type"}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        answer = client.http.post("/API/GetNewSession", content=b"{}", headers={"Content-Type": kind})
        assert (answer.status_code, answer.json()) == (400, wrong)
    for kind in ("application/json; charset=utf-8", "application/vnd.api+json", "Application/JSON"):
        answer = client.http.post("/API/GetNewSession", content=b"{}", headers={"Content-Type": kind})
        assert answer.status_code == 200, kind
    empty = client.http.post("/API/GetNewSession", content=b"", headers={"Content-Type": "application/json"})
    assert (empty.status_code, empty.json()) == (400, {"error_id": "basic_api", "error": "bad content length"})


def test_names_match_in_any_case_and_queries_are_ignored(client: SwarmClient) -> None:
    for path in ("/api/getnewsession", "/API/GETNEWSESSION", "/Api/GetNewSession?session_id=5&x=1"):
        assert len(client.http.post(path, json={}).json()["session_id"]) == 40


def test_parameter_names_match_exactly_and_unknown_ones_are_ignored(client: SwarmClient) -> None:
    assert client.post("DescribeModel", modelname="tiny") == {"error": "Missing required parameter 'modelName'"}
    assert client.post("DescribeModel", modelName="tiny", whatever=[1])["model"]["name"] == "tiny.safetensors"


def test_values_bind_from_their_text_form(client: SwarmClient) -> None:
    fitting: list[Any] = [1, "1", 1.0, " 1 ", "+1"]
    for depth in fitting:
        assert [one["name"] for one in client.post("ListModels", path="", depth=depth)["files"]] == ["tiny.safetensors"]
    for reverse in (True, "true", " FALSE "):
        assert "files" in client.post("ListModels", path="", depth=1, sortReverse=reverse)
    assert client.post("ListModels", path=None, depth=1)["files"]
    assert client.post("ListModels", path="", depth=None) == {
        "error": "Invalid value '' for parameter 'depth', must be type 'Int32'"
    }
    others: list[Any] = [2**31, "5.0", "1e3", [1], "٣"]
    for depth in others:
        error = client.post("ListModels", path="", depth=depth)["error"]
        assert error.endswith("for parameter 'depth', must be type 'Int32'"), depth


def test_a_guest_lacks_the_permission_and_is_told_with_status_400(world: World, serve: Serve) -> None:
    (world.data / "Settings.fds").write_text("DefaultUser:\n\tRoles:\n\t- guest\n", encoding="utf-8")
    client = serve()
    permissions = client.raw("GetNewSession", {}).json()["permissions"]
    assert "*" not in permissions and "view_backends_list" not in permissions
    answer = client.raw("ListBackends", {"session_id": client.session_id})
    assert (answer.status_code, answer.json()) == (400, NO_PERMISSION)
    assert list(answer.json()) == ["error_id", "error"]
    assert told(client, "SelectModelWS", json.dumps({"session_id": client.session_id, "model": "tiny"})) == (
        NO_PERMISSION
    )

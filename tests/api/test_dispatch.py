"""The transport contract: every row of the error table, sessions, and the WebSocket rules (swarm-core 1)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from swarm.access.permissions import MANAGE_USERS
from swarm.api.dispatch import ApiRoute, Dispatch
from swarm.api.route import ApiSocket, Call, JsonObject, Route, route
from swarm.api.routes.session import get_new_session
from swarm.base.errors import Refused, Unavailable
from swarm.settings.server import NetworkSettings
from tests.support.tiny_state import tiny_state


@route("Echo")
async def echo(call: Call, text: str, number: int = 7) -> JsonObject:
    """Say it back."""
    return {"text": text, "number": number, "share": 1.0}


@route("Managed", permission=MANAGE_USERS)
async def managed(call: Call) -> JsonObject:
    """Needs a permission."""
    return {"ok": True}


@route("Silent")
async def silent(call: Call) -> JsonObject | None:
    """Answers nothing."""
    return None


@route("Broken")
async def broken(call: Call) -> JsonObject:
    """Fails with a bug."""
    raise KeyError("secret detail")


@route("Refusing")
async def refusing(call: Call, kind: str) -> JsonObject:
    """Fails with a sentence."""
    match kind:
        case "refused":
            raise Refused("No, thank you.", error_id="no_thanks")
        case "grouped":
            async with anyio.create_task_group():
                raise Refused("Not in a group either.")
    raise Unavailable("Nobody is there.")


@route("Unwritable")
async def unwritable(call: Call) -> JsonObject:
    """Answers something that is not JSON."""
    return {"thing": object()}  # type: ignore[dict-item]


@route("CountWS", websocket=True, touches=True)
async def count_ws(call: Call, socket: ApiSocket, up_to: int) -> JsonObject | None:
    """Counts, then answers what comes back."""
    for number in range(up_to):
        await socket.send({"number": number})
    return {"heard": (await socket.receive())["word"]} if up_to else None


ROUTES = {each.id: each for each in (echo, managed, silent, broken, refusing, unwritable, count_ws, get_new_session)}
INTERNAL = {"error_id": "internal_error", "error": "An internal error occurred"}
INVALID = {"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}


def client_of(state: Any, routes: dict[str, Route]) -> TestClient:
    app = Starlette(routes=[ApiRoute(Dispatch(state, routes))])
    return TestClient(app, follow_redirects=False, raise_server_exceptions=True)


@pytest.fixture
def state() -> Any:
    return tiny_state(network=NetworkSettings(max_network_request_megabytes=3))


@pytest.fixture
def client(state: Any) -> Iterator[TestClient]:
    with client_of(state, ROUTES) as client:
        yield client


@pytest.fixture
def session(client: TestClient) -> str:
    made: str = client.post("/API/GetNewSession", json={}).json()["session_id"]
    return made


def test_a_new_session_has_all_fields(client: TestClient) -> None:
    answer = client.post("/api/getnewSESSION", json={})
    body = answer.json()
    assert answer.status_code == 200
    assert list(body) == [
        "session_id", "user_id", "output_append_user", "version", "server_id", "permissions", "count_running",
    ]  # fmt: skip
    assert len(body["session_id"]) == 40 and set(body["session_id"]) <= set("0123456789abcdef")
    assert (body["user_id"], body["output_append_user"], body["version"]) == ("local", True, "1.2.3")
    assert {"*", "basic_image_generation", "manage_users"} <= set(body["permissions"])


def test_the_user_header_names_the_user(client: TestClient) -> None:
    for sent, expected in [("bob", "bob"), ("Bob/../x", "Bobx"), ("..", "_"), ("con", "con_")]:
        body = client.post("/API/GetNewSession", json={}, headers={"X-SWARM-USER_ID": sent}).json()
        assert body["user_id"] == expected


def test_impersonation(client: TestClient, state: Any) -> None:
    def ask(name: str | None) -> Any:
        return client.post("/API/GetNewSession", json={"impersonateUser": name}).json()

    missing = {"error": "The user you are trying to impersonate does not exist.", "error_id": "bad_impersonate"}
    assert ask("nobody") == missing
    assert ask(None)["user_id"] == "local"
    state.users.get_or_create("alice")
    assert ask("alice")["user_id"] == "alice"
    guests = client_of(tiny_state(roles=("guest",)), ROUTES)
    assert guests.post("/API/GetNewSession", json={"impersonateUser": "local"}).json() == {
        "error": "You do not have permission to impersonate other users.",
        "error_id": "bad_impersonate",
    }


def test_answers_are_compact_json_that_is_not_kept(client: TestClient, session: str) -> None:
    answer = client.post("/API/Echo", json={"session_id": session, "text": "für\u0000 \u202e"})
    assert answer.content == '{"text":"für\\u0000 \u202e","number":7,"share":1.0}'.encode()
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-length"] == str(len(answer.content))


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("path", ["/API", "/API/", "/API/Echo", "/api/nothing"])
def test_only_post_calls_routes(client: TestClient, method: str, path: str) -> None:
    if path == "/API" and method in ("GET", "HEAD"):
        path = "/api/"  # without the slash it is the page that explains the API
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["location"], answer.content) == (302, "/Error/NoGetAPI", b"")


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx", "json"])
def test_bodies_must_say_they_are_json(client: TestClient, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    answer = client.post("/API/Echo", content=b"{}", headers=headers)
    assert answer.status_code == 400
    assert answer.content == b'{"error_id":"basic_api","error":"Wrong content type"}'


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8", "application/vnd.swarm+json"])
def test_json_has_several_names(client: TestClient, kind: str) -> None:
    assert client.post("/API/GetNewSession", content=b"{}", headers={"Content-Type": kind}).status_code == 200


def test_the_length_must_be_known_and_allowed(client: TestClient) -> None:
    json_type = {"Content-Type": "application/json"}
    bad = b'{"error_id":"basic_api","error":"bad content length"}'
    assert client.post("/API/Echo", content=b"", headers=json_type).content == bad
    assert client.post("/API/Echo", content=iter([b"{}"]), headers=json_type).content == bad
    for length in ["-1", "1e3", "99999999999999999999", str(3 * 1024 * 1024), "2147483648", "5, 5"]:
        answer = client.post("/API/Echo", content=b"{}", headers={**json_type, "Content-Length": length})
        assert (answer.status_code, answer.content) == (400, bad)


MALFORMED = [
    b" ", b"null", b"[]", b'"x"', b"1", b"{", b'{"a":1,}', b"\xef\xbb\xbf{}", b"{/**/}", b"{'a':1}", b'{"a":NaN}',
    b'{"a":"\xff', b'{"a":"\\ud800"}', b'{"a":' * 5000 + b"1" + b"}" * 5000, b"[" * 100_000, b'{"a":1}{', b'{"a" 1}',
]  # fmt: skip


@pytest.mark.parametrize("body", MALFORMED)
def test_what_is_not_a_json_object_is_an_internal_error(client: TestClient, body: bytes) -> None:
    answer = client.post("/API/GetNewSession", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, INTERNAL)


@pytest.mark.parametrize("body", [b'{"a":"' + b'\\"' * 300_000, b'["\n"' + b',"' * 300_000, b'{"' + b"\\\n" * 300_000])
def test_what_is_read_kindly_is_read_once(client: TestClient, body: bytes) -> None:
    began = time.monotonic()
    answer = client.post("/API/GetNewSession", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, INTERNAL)
    assert time.monotonic() - began < 5, "a look from every quote to the end takes minutes"


def test_big_bodies_and_doubled_keys_are_fine(client: TestClient, session: str) -> None:
    text = "x" * 2_000_000
    body = f'{{"session_id":"wrong","text":"y","session_id":"{session}","text":"{text}"}}'
    answer = client.post("/API/Echo", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["text"] == text


def test_the_session_comes_from_the_body_or_a_header(client: TestClient, session: str) -> None:
    assert client.post("/API/Echo", json={"text": "a"}, headers={"X-Session-ID": session}).json()["text"] == "a"
    wrong = client.post("/API/Echo", json={"text": "a", "session_id": "x"}, headers={"X-Session-ID": session})
    assert (wrong.status_code, wrong.json()) == (401, INVALID)
    missing = client.post("/API/Echo", json={"text": "a"})
    assert (missing.status_code, missing.json()) == (400, {"error_id": "basic_api", "error": "missing session id"})
    odd: Any
    for odd in [None, 5, [], {}, "", "0" * 40, "\u0000", "ü", session.upper()]:
        answer = client.post("/API/Echo", json={"text": "a", "session_id": odd})
        assert (answer.status_code, answer.json()) == (401, INVALID)


def test_the_session_is_looked_at_before_the_route(client: TestClient, session: str) -> None:
    assert client.post("/API/Nothing", json={}).json()["error"] == "missing session id"
    for path in ["/API/Nothing", "/API", "/API/", "/API/Echo/", "/API/GetNewSession/", "/API//Echo"]:
        answer = client.post(path, json={"session_id": session})
        assert (answer.status_code, answer.json()) == (400, {"error_id": "bad_route", "error": "Unknown API route"})
    assert client.post("/API/Login", json={}).json()["error_id"] == "bad_route"


def test_transport_permission_and_result_problems(state: Any, client: TestClient, session: str) -> None:
    def post(name: str, session_id: str = session, **body: Any) -> tuple[int, Any]:
        answer = client.post(f"/API/{name}", json={"session_id": session_id, **body})
        return answer.status_code, answer.json()

    websocket_only = {"error_id": "bad_request_method", "error": "API route needs websocket, request is HTTP"}
    assert post("CountWS", up_to=1) == (400, websocket_only)
    assert post("Silent") == (400, {"error_id": "no_result", "error": "API call did not return any output"})
    assert post("Unwritable") == (400, INTERNAL)
    assert post("Echo") == (200, {"error": "Missing required parameter 'text'"})
    assert post("Echo", text="a", number="b") == (
        200,
        {"error": "Invalid value 'b' for parameter 'number', must be type 'Int32'"},
    )
    assert post("Refusing", kind="refused") == (200, {"error": "No, thank you.", "error_id": "no_thanks"})
    assert post("Refusing", kind="grouped") == (200, {"error": "Not in a group either."})
    assert post("Refusing", kind="unavailable") == (200, {"error": "Nobody is there."})
    assert post("Managed") == (200, {"ok": True})


def test_a_guest_lacks_permissions() -> None:
    with client_of(tiny_state(roles=("guest", "no such role")), ROUTES) as client:
        session = client.post("/API/GetNewSession", json={}).json()["session_id"]
        answer = client.post("/API/Managed", json={"session_id": session})
        lacking = {"error_id": "bad_permissions", "error": "You lack permissions for this route."}
        assert (answer.status_code, answer.json()) == (400, lacking)


def test_a_bug_is_logged_and_not_shown(client: TestClient, session: str, caplog: pytest.LogCaptureFixture) -> None:
    answer = client.post("/API/Broken", json={"session_id": session})
    assert (answer.status_code, answer.json()) == (400, INTERNAL)
    assert "secret detail" in caplog.text


def converse(client: TestClient, path: str, *messages: bytes | str | dict[str, Any]) -> list[Any]:
    """Send everything, then collect answers until the server closes with 1000."""
    heard = []
    with client.websocket_connect(path) as socket:
        for message in messages:
            match message:
                case bytes():
                    socket.send_bytes(message)
                case str():
                    socket.send_text(message)
                case _:
                    socket.send_text(json.dumps(message))
        with pytest.raises(WebSocketDisconnect) as closed:
            while True:
                heard.append(json.loads(socket.receive_text()))
    assert (closed.value.code, closed.value.reason) == (1000, "")
    return heard


def test_a_socket_route_talks_and_closes(client: TestClient, session: str) -> None:
    first = {"session_id": session, "up_to": 2}
    expected = [{"number": 0}, {"number": 1}, {"heard": "bye"}]
    assert converse(client, "/API/CountWS", first, {"word": "bye"}) == expected
    assert converse(client, "/api/countws", json.dumps(first).encode(), b'{"word":"bye"}') == expected
    assert converse(client, "/API/CountWS", {"session_id": session, "up_to": 0}) == []


def test_socket_problems(client: TestClient, session: str) -> None:
    def first(path: str, *messages: bytes | str | dict[str, Any]) -> Any:
        (only,) = converse(client, path, *messages)
        return only

    assert first("/API/CountWS", "") == INTERNAL
    assert first("/API/CountWS", "[1]") == INTERNAL
    assert first("/API/CountWS", b"\xff") == INTERNAL
    assert first("/API/CountWS", {"up_to": 1}) == {"error_id": "basic_api", "error": "missing session id"}
    assert first("/API/CountWS", {"session_id": "x"}) == INVALID
    known = {"session_id": session}
    assert first("/API/Nothing", known) == {"error": "Unknown API route.", "error_id": "bad_route"}
    needs_http = {"error_id": "bad_request_method", "error": "API route needs HTTP, request is websocket"}
    assert first("/API/Echo", known) == needs_http
    assert first("/API/CountWS", known) == {"error": "Missing required parameter 'up_to'"}
    (late,) = converse(client, "/API/CountWS", {**known, "up_to": 1}, "no json")[1:]
    assert late["error"].startswith("This is not valid JSON: ")


def test_a_client_that_leaves_harms_nobody(client: TestClient, session: str) -> None:
    with client.websocket_connect("/API/CountWS"):
        pass
    with client.websocket_connect("/API/CountWS") as socket:
        socket.send_json({"session_id": session, "up_to": 1})
        socket.receive_text()
    assert client.post("/API/Echo", json={"session_id": session, "text": "a"}).status_code == 200


def test_use_and_presence_are_noted(state: Any, client: TestClient, session: str) -> None:
    now = state.clock() + 1000
    state.clock = lambda: now
    found = state.sessions.find(session)
    client.post("/API/Echo", json={"session_id": session, "text": "a"})
    assert (found.user.last_present, found.user.last_used < now) == (now, True)
    converse(client, "/API/CountWS", {"session_id": session, "up_to": 0})
    assert (found.user.last_used, found.last_used) == (now, now)

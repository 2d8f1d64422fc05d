"""The core of the contract as strict clients rely on it, statement by statement (swarm-core 1, 2, 4, 5, 8).

One server for the whole module; a statement that has a test elsewhere is not repeated here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

INTERNAL = {"error_id": "internal_error", "error": "An internal error occurred"}
NO_LENGTH = {"error_id": "basic_api", "error": "bad content length"}
WRONG_TYPE = {"error_id": "basic_api", "error": "Wrong content type"}
NO_SESSION = {"error_id": "basic_api", "error": "missing session id"}
INVALID = {"error": "Invalid session ID. You may need to refresh the page.", "error_id": "invalid_session_id"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("contract"))
    made.backends(StepMilliseconds=0)
    write_model(made.models / "Stable-Diffusion" / "tiny.safetensors")
    (made.data / "Audio" / "bells").mkdir(parents=True)
    (made.data / "Audio" / "ping.mp3").write_bytes(b"ping")
    (made.data / "Audio" / "bells" / "one.wav").write_bytes(b"bell")
    (made.data / "Audio" / "notes.txt").write_text("not a sound")
    return made


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[SwarmClient]:
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


# --- transport (1.1 to 1.5) --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_other_methods_lead_to_the_page_that_says_so(client: SwarmClient, method: str) -> None:
    answer = client.http.request(method, "/API/GetCurrentStatus")
    assert (answer.status_code, answer.headers["location"], answer.content) == (302, "/Error/NoGetAPI", b"")


@pytest.mark.parametrize(
    ("content_type", "body", "status", "expected"),
    [
        (None, b"{}", 400, WRONG_TYPE),
        ("text/json", b"{}", 400, WRONG_TYPE),
        ("application/jsonx", b"{}", 400, WRONG_TYPE),
        ("application/json", b"", 400, NO_LENGTH),
        ("application/json", b"[]", 400, INTERNAL),
        ("application/json", b"null", 400, INTERNAL),
        ("application/json", b'{"a":1}x', 400, INTERNAL),
        ("application/json", b"\xff\xfe", 400, INTERNAL),
        ("APPLICATION/JSON; charset=utf-8", b"{}", 400, NO_SESSION),
        ("application/vnd.x+json; a=b", b"{}", 400, NO_SESSION),
        ("application/json", b'{"session_id":null}', 401, INVALID),
        ("application/json", b'{"session_id":5}', 401, INVALID),
        ("application/json", b'{"session_id":{"a":1}}', 401, INVALID),
    ],
)
def test_what_is_wrong_with_a_request_is_said_in_the_order_of_the_contract(
    client: SwarmClient, content_type: str | None, body: bytes, status: int, expected: dict[str, str]
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = client.http.post("/API/NoSuchRoute", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (status, expected)
    assert list(answer.json()) == list(expected)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_a_body_without_a_length_is_refused(client: SwarmClient) -> None:
    answer = client.http.post("/API/GetNewSession", content=iter([b"{}"]), headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (400, NO_LENGTH)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/aPi/GETnewSESSION?x=1", None),
        ("/API", NO_SESSION),
        ("/API/", NO_SESSION),
        ("/API/GetNewSession/", NO_SESSION),
    ],
)
def test_route_names_ignore_case_but_not_slashes(
    client: SwarmClient, path: str, expected: dict[str, str] | None
) -> None:
    answer = client.http.post(path, json={}).json()
    assert "session_id" in answer if expected is None else answer == expected


def test_the_last_of_two_equal_keys_counts(client: SwarmClient) -> None:
    body = f'{{"session_id":"no","session_id":"{client.session_id}"}}'
    answer = client.http.post("/API/GetCurrentStatus", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, "status" in answer.json()) == (200, True)


def test_the_header_names_the_session_where_the_body_does_not(client: SwarmClient) -> None:
    headers = {"X-Session-ID": client.session_id}
    assert "status" in client.raw("GetCurrentStatus", {}, **headers).json()
    assert client.raw("GetCurrentStatus", {"session_id": "no"}, **headers).json() == INVALID
    with client.socket("SelectModelWS", **headers) as socket:
        socket.send('{"model":"nothing"}')
        assert json.loads(socket.recv()) == {"error": "Model not found."}


@pytest.mark.parametrize(
    ("route", "first", "expected"),
    [
        ("SelectModelWS", "x", INTERNAL),
        ("SelectModelWS", "", INTERNAL),
        ("SelectModelWS", "[]", INTERNAL),
        ("SelectModelWS", "{}", NO_SESSION),
        ("SelectModelWS", '{"session_id":"no"}', INVALID),
        ("SelectModelWS", "SESSION", {"error": "Missing required parameter 'model'"}),
        ("NoSuchRoute", "SESSION", {"error": "Unknown API route.", "error_id": "bad_route"}),
        (
            *("GetCurrentStatus", "SESSION"),
            {"error_id": "bad_request_method", "error": "API route needs HTTP, request is websocket"},
        ),
    ],
)
def test_a_socket_says_what_is_wrong_and_closes_normally(
    client: SwarmClient, route: str, first: str, expected: dict[str, str]
) -> None:
    with client.socket(route) as socket:
        socket.send(json.dumps({"session_id": client.session_id}) if first == "SESSION" else first)
        answer = json.loads(socket.recv())
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv()
    assert (answer, list(answer)) == (expected, list(expected))
    assert closed.value.rcvd is not None and (closed.value.rcvd.code, closed.value.rcvd.reason) == (1000, "")


def test_a_first_message_may_be_binary(client: SwarmClient) -> None:
    with client.socket("SelectModelWS") as socket:
        socket.send(json.dumps({"session_id": client.session_id, "model": "nothing"}).encode())
        assert json.loads(socket.recv()) == {"error": "Model not found."}


# --- binding (1.6) -----------------------------------------------------------------------------------------------

WRITTEN: list[tuple[Any, str]] = [
    *[(None, ""), ("5.0", "5.0"), (5.5, "5.5"), ("abc", "abc"), (2**31, "2147483648"), (True, "True"), ("1e3", "1e3")],
    *[(1e20, "1E+20"), (1e-7, "1E-07"), ([1], "[\n  1\n]"), ({"a": 1}, '{\n  "a": 1\n}'), ([], "[]"), ("1_0", "1_0")],
]


@pytest.mark.parametrize(("value", "text"), WRITTEN)
def test_a_value_that_is_no_whole_number_is_shown_as_text(client: SwarmClient, value: Any, text: str) -> None:
    answer = client.post("ListModels", path="", depth=value)
    assert answer == {"error": f"Invalid value '{text}' for parameter 'depth', must be type 'Int32'"}


@pytest.mark.parametrize("value", [5, 5.0, 1e3, "5", " 7 ", "+7", "-3"])
def test_what_counts_as_a_whole_number(client: SwarmClient, value: Any) -> None:
    assert list(client.post("ListModels", path=None, depth=value)) == ["folders", "files"]


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (1, "1"), (0, "0"), ("1", "1"), ("yes", "yes"), ([], "[]"), ({}, "{}")]
)
def test_what_is_no_boolean(client: SwarmClient, value: Any, text: str) -> None:
    answer = client.post("ListModels", path="", depth=1, allowRemote=value)
    assert answer == {"error": f"Invalid value '{text}' for parameter 'allowRemote', must be type 'Boolean'"}


def test_parameters_are_bound_in_their_order_and_by_exact_name(client: SwarmClient) -> None:
    assert client.post("ListModels") == {"error": "Missing required parameter 'path'"}
    assert client.post("ListModels", Path="", depth="x") == {"error": "Missing required parameter 'path'"}


# --- sessions, settings, roles (2 to 5) --------------------------------------------------------------------------


def test_a_session_says_how_many_backends_are_at_work(client: SwarmClient) -> None:
    """SwarmUI of 2024 takes no server for a backend that does not."""
    assert client.raw("GetNewSession", {}).json()["count_running"] == 1


def test_nobody_is_impersonated_by_an_empty_name(client: SwarmClient) -> None:
    for name in (None, ""):
        assert client.raw("GetNewSession", {"impersonateUser": name}).json()["user_id"] == "local"


USER_SETTINGS = """
outpathbuilder g, outpathbuilder.format t, outpathbuilder.maxlenperpart i, outpathbuilder.modelpathsskipfolders b,
fileformat g, fileformat.imageformat x, fileformat.imagequality i, fileformat.savemetadata b,
fileformat.stealthmetadata x, fileformat.dpi i, fileformat.savetextfilemetadata b, fileformat.reformattransientimages b,
ui g, ui.tagmovehotkeyenabled b, ui.checkifsurebeforedelete b, ui.presetlistdetailsfields t,
ui.copytriggerphrasewithtrailingcomma b, ui.removeinterruptedgens b, ui.hideerrormessages t, ui.deleteimagebehavior x,
ui.imageshiftingcycles x, ui.defaulthidemetadatainfullview b, paramparsing g, paramparsing.allowlorastacking b,
savefiles b, starnofolders b, theme x, centerimagealwaysgrow b, autoswapimagesincludesfullview b,
buttonsundermainimages t, imagemetadataformat x, resetbatchsizetoone b, hintformat x, hoverdelayseconds d,
maxpromptlines i, vaes g, vaes.defaultsdxlvae x, vaes.defaultsdv1vae x, vaes.defaultsvdvae x, vaes.defaultfluxvae x,
vaes.defaultflux2vae x, vaes.defaultsd3vae x, vaes.defaultmochivae x, vaes.defaultqwenvae x, maximagesinminigrid i,
maximagesinhistory i, maximagesscannedinhistory i, imagehistoryusepreviews b, maxsimulpreviews i, enterkeygenerates b,
generateforeverdelay d, generateforeverqueuesize i, parametermemorydurationhours d, language x, reuseparamexcludelist t,
audio g, audio.completionsound x, audio.volume d, audio.videoaudiobehavior x, autocomplete g, autocomplete.source x,
autocomplete.escapeparens b, autocomplete.suffix t, autocomplete.matchmode x, autocomplete.sortmode x,
autocomplete.spacingmode x
"""
KINDS = {"g": "group", "t": "text", "i": "integer", "d": "decimal", "b": "boolean", "x": "dropdown"}
KEYS = ["type", "name", "value", "description", "values", "value_names", "is_secret"]


def flat(tree: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, setting in tree.items():
        yield prefix + name, setting
        if setting["type"] == "group":
            yield from flat(setting["value"], f"{prefix}{name}.")


def test_the_settings_of_a_user_are_those_of_the_contract_in_its_order(client: SwarmClient) -> None:
    expected = [tuple(each.split()) for each in USER_SETTINGS.replace("\n", " ").split(",")]
    found = list(flat(client.post("GetUserSettings")["settings"]))
    assert [(path, setting["type"]) for path, setting in found] == [(path, KINDS[kind]) for path, kind in expected]
    for _, setting in found:
        assert list(setting) == [*KEYS, *([] if setting["type"] == "group" else ["default_value"])]
        assert (setting["values"] is None) == (setting["type"] != "dropdown")


def test_server_settings_hold_the_users_and_hide_secrets(client: SwarmClient) -> None:
    found = dict(flat(client.post("ListServerSettings")["settings"]))
    assert (found["defaultuser.roles"]["type"], found["defaultuser.roles"]["value"]) == ("list", "owner")
    secret = found["webhooks.secret"]
    assert (secret["value"], secret["is_secret"], "default_value" in secret) == ("\t<secret>", True, False)
    named = {"modelroot", "downloadtorootid", "sdmodelfolder", "sdlorafolder", "sdvaefolder", "sdembeddingfolder"}
    assert {f"paths.{name}" for name in named} <= set(found)


@pytest.mark.parametrize(
    ("route", "body", "key"),
    [
        ("ChangeUserSettings", {}, "settings"),
        ("ChangeUserSettings", {"settings": 5}, "settings"),
        ("ChangeServerSettings", {}, "settings"),
        ("AdminChangeUserSettings", {"name": "local"}, "settings"),
        ("SetParamEdits", {"edits": [1]}, "edits"),
        ("AddNewPreset", {"title": "x", "description": ""}, "param_map"),
        ("ListRecentLogMessages", {}, "types"),
        ("DebugLanguageAdd", {}, "set"),
        ("EditBackend", {"backend_id": 0, "title": ""}, "settings"),
    ],
)
def test_a_missing_object_is_named(client: SwarmClient, route: str, body: dict[str, Any], key: str) -> None:
    answer = client.raw(route, {"session_id": client.session_id, **body})
    assert answer.status_code == 200
    assert key in answer.json()["error"]


def test_roles_and_permissions_are_objects_by_id(client: SwarmClient) -> None:
    roles = client.post("AdminListRoles")["roles"]
    assert list(roles) == ["owner", "admin", "poweruser", "user", "guest"]
    assert (roles["user"]["name"], roles["user"]["is_auto_generated"]) == ("User", True)
    told = client.post("AdminListPermissions")
    assert told["ordered"][:4] == ["*", "local_image_folder", "install", "server_debug_message"]
    shutdown = told["permissions"]["shutdown"]
    assert list(shutdown) == ["name", "description", "default", "group", "safety_level", "alt_safety_text"]
    assert (shutdown["default"], shutdown["group"]["name"], shutdown["safety_level"]) == ("NOBODY", "Admin", "SAFE")


# --- GET routes (8) ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "header"),
    [
        ("GET", "/", 302, ("location", "Text2Image")),
        ("HEAD", "/", 405, ("allow", "GET")),
        ("POST", "/Text2Image", 200, None),
        ("GET", "/Text2Image/", 302, ("location", "/Error/404")),
        ("GET", "/Install", 200, None),
        ("GET", "/error/404", 404, None),
        ("GET", "/Error/Internal", 500, None),
        ("GET", "/Error/Permissions", 200, None),
        ("GET", "/css/nothing.css", 302, ("location", "/Error/404")),
        ("HEAD", "/imgs/model_placeholder.jpg", 200, ("content-type", "image/jpeg")),
        ("POST", "/favicon.ico", 405, ("allow", "GET, HEAD")),
        ("HEAD", "/View/local/x.png", 405, ("allow", "GET")),
        ("HEAD", "/ViewSpecial/LoRA/x", 405, ("allow", "GET")),
        ("HEAD", "/Audio/ping.mp3", 405, ("allow", "GET")),
        ("POST", "/audio/ping.mp3", 405, ("allow", "GET")),
    ],
)
def test_pages_and_their_methods(
    client: SwarmClient, method: str, path: str, status: int, header: tuple[str, str] | None
) -> None:
    answer = client.http.request(method, path)
    assert answer.status_code == status
    assert header is None or answer.headers[header[0]] == header[1]


def test_a_server_that_is_installed_leads_on_to_its_page(client: SwarmClient) -> None:
    for path in ("/Install", "/Login", "/Register"):
        assert 'window.location.replace("Text2Image")' in client.http.get(path).text


def test_sounds_are_offered_and_served(client: SwarmClient) -> None:
    settings = client.post("GetUserSettings")["settings"]["audio"]["value"]["completionsound"]
    assert settings["values"] == settings["value_names"] == ["", "bells/one.wav", "ping.mp3"]
    ping = client.http.get("/Audio/ping.mp3")
    assert (ping.status_code, ping.content, ping.headers["content-type"]) == (200, b"ping", "audio/mpeg")
    assert "cache-control" not in ping.headers
    assert client.http.get("/Audio/bells%2Fone.wav").headers["content-type"] == "audio/x-wav"


@pytest.mark.parametrize(
    ("path", "status", "error_id"),
    [
        ("nothing.mp3", 404, "file_not_found"),
        ("%2e%2e/Settings.fds", 404, "file_not_found"),
        (".hidden", 404, "file_not_found"),
        ("bells", 500, "file_error"),
        ("con.mp3", 400, "bad_path"),
    ],
)
def test_sounds_that_cannot_be_had(client: SwarmClient, path: str, status: int, error_id: str) -> None:
    answer = client.http.get(f"/Audio/{path}")
    assert (answer.status_code, answer.json()["error_id"]) == (status, error_id)
    if status == 404:
        assert answer.json()["error"] == "404, file not found"  # no full stop here, unlike /View


def test_the_server_may_keep_previews_still(client: SwarmClient, world: World) -> None:
    frames = [Image.new("RGB", (64, 64), color) for color in ("red", "blue")]
    (world.outputs / "local").mkdir(parents=True, exist_ok=True)
    frames[0].save(world.outputs / "local" / "moving.webp", save_all=True, append_images=frames[1:], duration=100)

    def kind() -> str:
        return str(client.http.get("/View/local/moving.webp?preview=true").headers["content-type"])

    assert kind() == "image/webp"
    assert client.post("ChangeServerSettings", settings={"ui.allowanimatedpreviews": False}) == {"success": True}
    assert kind() == "image/jpg"
    assert client.post("ChangeServerSettings", settings={"ui.allowanimatedpreviews": True}) == {"success": True}

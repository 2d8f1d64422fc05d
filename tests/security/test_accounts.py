"""Who gets in, and what ends at once when they may no longer: against one running server with accounts."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.file import save_settings
from swarm.settings.server import ServerSettings
from tests.conftest import World
from tests.support.accounts import PASSWORD, Member, Owner
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
ENDED = "invalid_session_id"
NOBODY = {"error": "Invalid or unauthorized."}
TRUSTING = ServerSettings(user_authorization=AuthorizationSettings(authorization_required=True))


@pytest.fixture(scope="module")
def owner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """The owner of a server with accounts that is slow enough to watch."""
    world = World(tmp_path_factory.mktemp("accounts"))
    world.backends(StepMilliseconds=10, MaxUsages=4)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    save_settings(TRUSTING, world.data / "Settings.fds")
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as client:
        yield client


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def revoke_own(member: Member, owner: Owner) -> None:
    (token,) = member.post("ListMyAuthTokens")["tokens"]
    assert member.post("RevokeMyAuthToken", tokenId=token["id"]) == {"success": True}


def log_out(member: Member, owner: Owner) -> None:
    assert member.post("Logout") == {"success": "true"}


def change_password_elsewhere(member: Member, owner: Owner) -> None:
    with owner.member(member.post("GetMyUserData")["user_name"]) as other:
        changed = other.post("ChangePassword", oldPassword=PASSWORD, newPassword="another walk home")
        assert changed == {"success": True}


def set_password(member: Member, owner: Owner) -> None:
    name = member.post("GetMyUserData")["user_name"]
    assert owner.post("AdminSetUserPassword", name=name, password="another walk home") == {"success": True}


def take_role(member: Member, owner: Owner) -> None:
    name = member.post("GetMyUserData")["user_name"]
    assert owner.post("AdminChangeUserSettings", name=name, settings={"roles": "guest"}) == {"success": True}


def delete(member: Member, owner: Owner) -> None:
    name = member.post("GetMyUserData")["user_name"]
    assert owner.post("AdminDeleteUser", name=name) == {"success": True}


Ending = Callable[[Member, Owner], None]
ENDINGS: list[tuple[Ending, bool]] = [
    (revoke_own, False),
    (log_out, False),
    (change_password_elsewhere, False),
    (set_password, False),
    (take_role, True),
    (delete, False),
]
"""What ends a login, and whether the cookie itself stays good (with the rights that are left)."""


@pytest.mark.case("T63")
@pytest.mark.parametrize(("end", "cookie_stays"), ENDINGS, ids=lambda value: getattr(value, "__name__", ""))
def test_sessions_sockets_and_cookies_end_together(
    owner: Owner, stack: ExitStack, end: Ending, cookie_stays: bool
) -> None:
    name = f"ending_{end.__name__}"
    member = stack.enter_context(owner.invite(name, "user"))
    busy = stack.enter_context(member.socket("GenerateText2ImageWS"))
    busy.send(json.dumps({"session_id": member.session_id, "images": 1, **SMALL, "steps": 400}))
    json.loads(busy.recv(10))
    end(member, owner)
    begun = time.monotonic()
    heard = [json.loads(message) for message in busy]
    assert heard[-1]["error_id"] == ENDED and busy.close_code == 1000
    assert time.monotonic() - begun < 3, "the picture alone would take four seconds"
    assert member.post("GetCurrentStatus")["error_id"] == ENDED
    again = member.raw("GetNewSession", {}).json()
    if cookie_stays:
        assert again["user_id"] == name and "basic_image_generation" not in again["permissions"]
    else:
        assert again == NOBODY


@pytest.mark.case("T63")
def test_what_was_there_before_a_login_gains_nothing_from_it(owner: Owner, stack: ExitStack) -> None:
    """Neither a session nor a token that somebody planted becomes that of who logs in."""
    owner.invite("fixed", "user").http.close()
    planted = "6669786564." + "0" * 32 + "." + "1" * 32
    visitor = stack.enter_context(Member(owner.base, planted))
    body = {"username": "fixed", "password": PASSWORD, "session_id": "ab" * 20}
    answer = visitor.raw("Login", body, **{"X-Session-ID": "ab" * 20})
    token = answer.cookies["swarm_token"]
    assert token not in (planted, "")
    assert visitor.raw("GetNewSession", {"session_id": "ab" * 20}, Cookie=f"swarm_token={planted}").json() == NOBODY
    session = visitor.raw("GetNewSession", {"session_id": "ab" * 20}, Cookie=f"swarm_token={token}").json()
    assert session["user_id"] == "fixed" and session["session_id"] != "ab" * 20
    assert visitor.raw("GetCurrentStatus", {"session_id": "ab" * 20}).json()["error_id"] == ENDED


@pytest.mark.case("T64")
def test_who_is_demoted_while_connected_is_not_heard_any_more(owner: Owner, stack: ExitStack) -> None:
    admin = stack.enter_context(owner.invite("demoted", "admin"))
    line = stack.enter_context(admin.socket("GenerateText2ImageWS"))
    line.send(json.dumps({"session_id": admin.session_id, "images": 1, **SMALL, "steps": 100}))
    json.loads(line.recv(10))
    assert owner.post("AdminChangeUserSettings", name="demoted", settings={"roles": "guest"}) == {"success": True}
    with pytest.raises(Exception, match="1000"):
        while True:
            line.send(json.dumps({"images": 1, **SMALL, "prompt": "after"}))
            answer = json.loads(line.recv(10))
            assert "after" not in json.dumps(answer)
    for route, body in [("ListBackends", {}), ("ChangeServerSettings", {"settings": {"network.port": 1}})]:
        assert admin.post(route, **body)["error_id"] == ENDED
        new = admin.raw("GetNewSession", {}).json()["session_id"]
        assert admin.raw(route, {"session_id": new, **body}).json()["error_id"] == "bad_permissions"


@pytest.mark.case("T68")
def test_what_is_somebody_elses_cannot_be_named(owner: Owner, stack: ExitStack) -> None:
    alice, bob = (stack.enter_context(owner.invite(name, "poweruser")) for name in ("alice", "bob"))
    (url,) = alice.generate(**SMALL, overrideoutpathformat="mine")["images"]
    alice.post("AddNewPreset", title="mine", description="alice", param_map={"prompt": "a secret garden"})
    (token,) = alice.post("ListMyAuthTokens")["tokens"]
    working = stack.enter_context(alice.socket("GenerateText2ImageWS"))
    working.send(json.dumps({"session_id": alice.session_id, "images": 1, **SMALL, "steps": 150}))
    json.loads(working.recv(10))
    for path in ("mine.png", "../alice/mine.png", "/alice/mine.png", url):
        for route in ("DeleteImage", "ToggleImageStarred"):
            assert "error" in bob.post(route, path=path), (route, path)
        assert "error" in bob.generate(**SMALL, initimage=path), path
    for address in (f"/{url}", f"/{url}?preview=true", "/Output/mine.png", "/ViewSpecial/Preset/mine"):
        assert bob.http.get(address).status_code in (400, 404), address
    assert bob.post("RevokeMyAuthToken", tokenId=token["id"]) == {"error": "Token not found."}
    assert bob.post("DeletePreset", preset="mine") == {"success": False}
    assert bob.post("DuplicatePreset", preset="mine") == {"preset_fail": "No such preset."}
    assert bob.post("AddNewPreset", title="theirs", description="", param_map={}, is_edit=True, editing="mine")
    assert bob.post("ExportUserPresets", titles=["mine"]) == {"presets": []}
    assert "secret garden" not in json.dumps(bob.generate(**{**SMALL, "prompt": "<preset:mine>", "donotsave": True}))
    assert bob.post("InterruptAll", other_sessions=True) == {"success": True}
    assert bob.post("AdminInterruptUser", name="alice")["error_id"] == "bad_permissions"
    assert bob.raw("GetNewSession", {"impersonateUser": "alice"}).json()["error_id"] == "bad_impersonate"
    assert any("image" in json.loads(message) for message in working), "alice's picture was made all the same"
    assert alice.http.get(f"/{url}").status_code == 200
    (kept,) = alice.post("GetMyUserData")["presets"]
    assert (kept["title"], kept["description"]) == ("mine", "alice")
    assert len(alice.post("ListMyAuthTokens")["tokens"]) == 1


CLIMBS: list[dict[str, Any]] = [
    {"Roles": ["owner"]},
    {"roles": "owner"},
    {"ROLES": "owner"},
    {"defaultuser.roles": "owner"},
    {"__class__": "User", "__dict__": {"rights": "*"}},
    {"rights": {"permissions": ["*"]}, "permissions": ["*"], "id": "local", "user_id": "local"},
    {"UserAuthorization.AuthorizationRequired": False},
]


@pytest.mark.case("T69")
@pytest.mark.parametrize("settings", CLIMBS, ids=lambda settings: next(iter(settings)))
def test_settings_that_are_not_theirs_are_not_taken_from_anybody(
    owner: Owner, stack: ExitStack, settings: dict[str, Any]
) -> None:
    name = f"climber_{CLIMBS.index(settings)}"
    climber = stack.enter_context(owner.invite(name, "user"))
    before = (owner.post("AdminGetUserInfo", name=name), owner.post("ListServerSettings"))
    climber.post("ChangeUserSettings", settings=settings)
    climber.post("ChangeUserSettings", settings={"language": "en"}, **settings)
    for body in ({"name": name, "settings": settings}, {"name": name, "role": "owner", "password": "a new one now"}):
        for route in ("AdminChangeUserSettings", "AdminAddUser", "AdminSetUserPassword"):
            assert climber.post(route, **body)["error_id"] == "bad_permissions"
    session = climber.raw("GetNewSession", {"roles": "owner", "user_id": "local"}).json()
    assert session["user_id"] == name and "*" not in session["permissions"]
    assert (owner.post("AdminGetUserInfo", name=name), owner.post("ListServerSettings")) == before


@pytest.mark.case("T67")
@pytest.mark.parametrize("path", ["/metrics", "/openapi.json", "/API", "/docs", "/redoc", "/health", "/debug"])
def test_strangers_learn_nothing_about_the_server(owner: Owner, path: str) -> None:
    with Member(owner.base) as stranger:
        answer = stranger.http.get(path)
    assert answer.status_code in (302, 400, 401, 404), path
    for word in ("swarm_", "openapi", "GenerateText2Image", "version", "cuda", "python"):
        assert word not in answer.text, (path, word)


@pytest.mark.case("T67")
def test_health_says_yes_or_no_to_strangers(owner: Owner) -> None:
    with Member(owner.base) as stranger:
        for path in ("/health/live", "/health/ready"):
            answer = stranger.http.get(path)
            assert answer.status_code in (200, 503)
            assert len(answer.text) < 200 and "/" not in answer.text.replace("application/json", ""), answer.text


EXTENSION = {
    "extension.toml": 'id = "broken"\nname = "Broken"\ndescription = "Fails."\nversion = "1"\n',
    "broken.py": '''
from swarm.ext import Call, JsonObject, Level, Permission, PermissionGroup, Safety, route, Body

GROUP = PermissionGroup(id="Broken", name="Broken", description="For a test.")
MAY = Permission(id="broken", name="Broken", group=GROUP, level=Level.GUEST, safety=Safety.SAFE, description="Fail.")


@route("Broken", permission=MAY)
async def broken(call: Call, body: Body) -> JsonObject:
    """Fail with everything that came in the message."""
    raise RuntimeError(f"cannot go on with {dict(body)!r}, {call.headers!r} at {call.body!r}")
''',
}
SECRETS = {"password": "a long walk home", "api_key": "sk-0123456789", "key": "hf_abcdefgh", "token": "t0k3n-t0k3n"}


@pytest.mark.case("T66")
def test_a_failure_tells_nobody_the_secrets_of_the_call(tmp_path: Path, stack: ExitStack) -> None:
    world = World(tmp_path)
    world.backends(StepMilliseconds=0)
    save_settings(TRUSTING, world.data / "Settings.fds")
    extensions = tmp_path / "extensions"
    for name, text in EXTENSION.items():
        (extensions / "broken").mkdir(parents=True, exist_ok=True)
        (extensions / "broken" / name).write_text(text, encoding="utf-8")
    options = options_for(world.folder, extensions_dir=extensions)
    owner = stack.enter_context(Owner(stack.enter_context(server_in_thread(options))))
    member = stack.enter_context(owner.invite("alice", "user"))
    token, session_id = str(member.token), member.session_id
    answer = member.raw(
        "Broken?token=t0k3n-t0k3n",
        {"session_id": session_id, **SECRETS},
        **{"X-Session-ID": session_id, "Authorization": f"Bearer {token}", "X-Api-Key": "sk-0123456789"},
    )
    assert (answer.status_code, answer.json()["error_id"]) == (400, "internal_error")
    lines = owner.post("ListRecentLogMessages", types=["Error", "Warning", "Info", "Debug", "Verbose"])
    (failed,) = [line for line in all_lines(lines) if "Broken failed" in line]
    assert "RuntimeError: cannot go on with" in failed and "<secret>" in failed
    for secret in (*SECRETS.values(), token, token.rpartition(".")[2], session_id):
        for where in (answer.text, answer.headers, json.dumps(lines), failed):
            assert secret not in str(where), secret


def all_lines(answer: dict[str, Any]) -> list[str]:
    return [line["message"] for kind in answer["data"].values() for line in kind]

"""Users and roles as administrators manage them, and what becomes of those who may do less (swarm-core 6.8, 6.9)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.conftest import Serve, World
from tests.support.accounts import PASSWORD, Member, Owner, accounts_mode
from tests.support.models import write_model

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
LACKS = "You lack permissions for this route."
NO_USER = {"error": "No user by that name exists."}
NO_ROLE = {"error": "No role by that name exists."}


@pytest.fixture
def owner(world: World, serve: Serve) -> Iterator[Owner]:
    """The owner of a server with accounts, slow enough to watch, and with a second model."""
    accounts_mode(world.data)
    world.backends(StepMilliseconds=10, MaxUsages=4)
    write_model(world.models / "Stable-Diffusion" / "secret" / "plan.safetensors")
    with Owner(serve().base) as client:
        yield client


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def role(owner: Owner, name: str, **changes: Any) -> dict[str, Any]:
    """Edit a role: what it is, with changes."""
    now = owner.post("AdminListRoles")["roles"][name]
    body = {
        **{key: now[key] for key in ("description", "max_outpath_depth", "max_t2i_simultaneous")},
        "allow_unsafe_outpaths": now["allow_unsafe_outpaths"],
        **{key: ",".join(now[key]) for key in ("model_whitelist", "model_blacklist", "permissions")},
    }
    return owner.post("AdminEditRole", name=name, **{**body, **changes})


def without(owner: Owner, name: str, permission: str) -> dict[str, Any]:
    """Take a permission from a role."""
    kept = [each for each in owner.post("AdminListRoles")["roles"][name]["permissions"] if each != permission]
    return role(owner, name, permissions=",".join(kept))


@pytest.mark.case("T62")
@pytest.mark.parametrize(
    ("name", "password", "error"),
    [
        ("a!", PASSWORD, "Username must be at least 3 characters long, A-Z 0-9 only."),
        ("alice", "short", "Password must be at least 8 characters long."),
        ("alice", "password123", "That password is one of the first that are tried. Choose another one."),
        ("a" * 71, PASSWORD, "Username or password too long."),
        ("alice", "x" * 501, "Username or password too long."),
        ("local", PASSWORD, "A user by that name already exists, or registration failed."),
    ],
)
def test_accounts_that_cannot_be(owner: Owner, name: str, password: str, error: str) -> None:
    assert owner.post("AdminAddUser", name=name, password=password, role="user") == {"error": error}
    assert owner.post("AdminListUsers") == {"users": ["local"]}


def test_an_account_is_made_changed_and_deleted(owner: Owner, world: World, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    alice.post("AddNewPreset", title="mine", description="", param_map={"steps": "5"})
    (url,) = alice.generate(**SMALL)["images"]
    info = owner.post("AdminGetUserInfo", name="alice")
    assert (info["user_id"], info["oauth_email"], info["settings"]["roles"]["value"]) == ("alice", "", "user")
    assert info["max_t2i"] == 8
    assert owner.post("AdminChangeUserSettings", name="alice", settings={"theme": "modern_light"}) == {"success": True}
    assert alice.post("GetUserSettings")["settings"]["theme"]["value"] == "modern_light"
    assert owner.post("AdminSetUserOAuthEmail", name="alice", email="a@example.org") == {"success": True}
    assert owner.post("AdminSetUserOAuthEmail", name="local", email="a@example.org")["error"].startswith("That addr")
    assert owner.post("AdminGetUserInfo", name="alice")["oauth_email"] == "a@example.org"
    assert owner.post("AdminDeleteUser", name="local") == {"error": "You may not delete yourself."}
    assert owner.post("AdminDeleteUser", name="alice") == {"success": True}
    assert alice.post("GetCurrentStatus")["error_id"] == "invalid_session_id"
    assert alice.raw("GetNewSession", {}).json() == {"error": "Invalid or unauthorized."}
    assert owner.post("AdminListUsers") == {"users": ["local"]}
    assert (world.outputs / url.removeprefix("View/")).is_file()
    for route in ("AdminGetUserInfo", "AdminDeleteUser", "AdminInterruptUser"):
        assert owner.post(route, name="alice") == NO_USER
    again = stack.enter_context(owner.invite("alice", "user"))
    assert again.post("GetMyUserData")["presets"] == []


def test_a_password_set_by_an_administrator_ends_every_login(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    assert "status" in alice.post("GetCurrentStatus")
    assert owner.post("AdminSetUserPassword", name="alice", password="tiny") == {
        "error": "Password must be at least 8 characters long."
    }
    assert owner.post("AdminSetUserPassword", name="alice", password="") == {"success": True}
    assert alice.post("GetCurrentStatus")["error_id"] == "invalid_session_id"
    login = alice.raw("Login", {"username": "alice", "password": PASSWORD})
    assert login.json() == {"error_id": "invalid_login"}


def test_roles_are_made_edited_and_kept_in_swarmuis_format(owner: Owner, world: World) -> None:
    assert owner.post("AdminAddRole", name="a") == {
        "error": "Role name must be at least 3 characters long, A-Z 0-9 only."
    }
    assert owner.post("AdminAddRole", name="Night Shift") == {"success": True}
    assert owner.post("AdminAddRole", name="nightshift") == {"error": "A role by that name already exists."}
    made = owner.post("AdminListRoles")["roles"]["nightshift"]
    assert made == {
        "name": "Night Shift",
        "description": "",
        "max_outpath_depth": 5,
        "is_auto_generated": False,
        "model_whitelist": [],
        "model_blacklist": [],
        "permissions": [],
        "max_t2i_simultaneous": 32,
        "allow_unsafe_outpaths": False,
    }
    assert role(owner, "nightshift", permissions=" use_tokenizer , , fundamental", model_blacklist="Secret/") == {
        "success": True
    }
    text = (world.data / "Roles.fds").read_text("utf-8")
    assert "nightshift:\n    MaxOutPathDepth: 5\n" in text and "    - use_tokenizer\n" in text
    assert "___$tracked:\n- *\n" in text
    assert owner.post("AdminDeleteRole", name="user")["error"].startswith("That role is an auto-generated core role")
    assert owner.post("AdminDeleteRole", name="nightshift") == {"success": True}
    assert owner.post("AdminDeleteRole", name="nightshift") == NO_ROLE
    assert role(owner, "owner", permissions="") == {"success": True}
    assert "*" in owner.post("AdminListRoles")["roles"]["owner"]["permissions"]


def test_permissions_are_listed_with_their_groups_together(owner: Owner) -> None:
    answer = owner.post("AdminListPermissions")
    assert answer["ordered"][:3] == ["*", "local_image_folder", "install"]
    assert sorted(answer["ordered"]) == sorted(answer["permissions"])
    groups = [answer["permissions"][id]["group"]["name"] for id in answer["ordered"]]
    assert len(set(groups)) == sum(now != before for now, before in zip(groups, [None, *groups], strict=False))
    shutdown = answer["permissions"]["shutdown"]
    assert (shutdown["name"], shutdown["default"], shutdown["safety_level"]) == ("Shutdown Server", "NOBODY", "SAFE")


def test_a_role_that_loses_a_permission_loses_it_at_once(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    assert alice.post("CountTokens", text="a cat") == {"count": 2}
    assert without(owner, "user", "use_tokenizer") == {"success": True}
    assert alice.post("CountTokens", text="a cat")["error_id"] == "invalid_session_id"
    alice = stack.enter_context(owner.member("alice"))
    assert alice.post("CountTokens", text="a cat")["error"] == LACKS


@pytest.mark.case("T64")
def test_open_sockets_of_those_who_may_do_less_are_closed(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    socket = stack.enter_context(alice.socket("GenerateText2ImageWS"))
    socket.send(json.dumps({"session_id": alice.session_id, "images": 1, **SMALL, "steps": 400}))
    json.loads(socket.recv(10))
    assert without(owner, "user", "basic_image_generation") == {"success": True}
    heard = [json.loads(message) for message in socket]
    assert heard[-1]["error_id"] == "invalid_session_id"


def test_a_deleted_users_sockets_and_pictures_end(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    socket = stack.enter_context(alice.socket("GenerateText2ImageWS"))
    socket.send(json.dumps({"session_id": alice.session_id, "images": 1, **SMALL, "steps": 400}))
    json.loads(socket.recv(10))
    assert owner.post("AdminDeleteUser", name="alice") == {"success": True}
    assert [json.loads(message) for message in socket][-1]["error_id"] == "invalid_session_id"
    end = time.monotonic() + 2  # the picture would take four
    while owner.post("GetGlobalStatus")["status"]["waiting_gens"] and time.monotonic() < end:
        time.sleep(0.02)
    assert owner.post("GetGlobalStatus")["status"]["waiting_gens"] == 0


def test_a_right_gained_needs_no_new_session(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    assert alice.post("AdminListUsers")["error"] == LACKS
    change = {"name": "alice", "settings": {"roles": "user,owner"}}
    assert owner.post("AdminChangeUserSettings", **change) == {"success": True}
    assert alice.post("AdminListUsers") == {"users": ["alice", "local"]}


def test_models_of_the_lists_are_neither_seen_nor_used(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "poweruser"))
    plan = "secret/plan.safetensors"
    assert plan in [each["name"] for each in alice.post("ListModels", path="", depth=5)["files"]]
    assert role(owner, "poweruser", model_blacklist="SECRET/") == {"success": True}
    alice = stack.enter_context(owner.member("alice"))
    listing = alice.post("ListModels", path="", depth=5)
    assert [each["name"] for each in listing["files"]] == ["tiny.safetensors"] and listing["folders"] == []
    params = alice.post("ListT2IParams")
    (model,) = [each for each in params["list"] if each["id"] == "model"]
    assert "secret" not in json.dumps([params["models"], model])
    gone = alice.post("DescribeModel", modelName="secret/none")
    for route, name in [("DescribeModel", "modelName"), ("SelectModel", "model"), ("GetModelHash", "modelName")]:
        assert alice.post(route, **{name: plan}) == gone, route
    assert "error" in alice.generate(**{**SMALL, "model": "secret/plan"})
    assert alice.http.get(f"/ViewSpecial/Stable-Diffusion/{plan}").status_code == 404
    assert "images" in owner.generate(**{**SMALL, "model": "secret/plan"})


@pytest.mark.case("T69")
def test_nobody_climbs(owner: Owner, stack: ExitStack) -> None:
    """Who manages users or roles cannot give, take over or become more than they are."""
    assert owner.post("AdminAddRole", name="warden") == {"success": True}
    admin = owner.post("AdminListRoles")["roles"]["admin"]["permissions"]
    granted = ",".join([*admin, "manage_users", "configure_roles"])
    assert role(owner, "warden", permissions=granted) == {"success": True}
    warden = stack.enter_context(owner.invite("warden", "warden"))
    before = owner.post("AdminListRoles")
    attempts: list[tuple[str, dict[str, Any]]] = [
        ("AdminAddUser", {"name": "puppet", "password": PASSWORD, "role": "owner"}),
        ("AdminSetUserPassword", {"name": "local", "password": "now it is mine"}),
        ("AdminDeleteUser", {"name": "local"}),
        ("AdminChangeUserSettings", {"name": "warden", "settings": {"Roles": ["owner"]}}),
        ("AdminChangeUserSettings", {"name": "warden", "settings": {"roles": "warden,owner"}}),
    ]
    for route, body in attempts:
        assert warden.post(route, **body)["error_id"] == "bad_permissions", route
    for gift in ("*", "shutdown"):
        body = {"name": "warden", "description": "", "max_outpath_depth": 5, "max_t2i_simultaneous": 32}
        lists = {"model_whitelist": "", "model_blacklist": "", "permissions": f"{granted},{gift}"}
        answer = warden.post("AdminEditRole", **body, **lists, allow_unsafe_outpaths=False)
        assert answer["error_id"] == "bad_permissions"
    become = warden.raw("GetNewSession", {"impersonateUser": "local"}).json()
    assert become["error_id"] == "bad_impersonate"
    assert warden.post("ChangeUserSettings", settings={"Roles": ["owner"], "__class__": "x"}) == {"success": True}
    assert "*" not in warden.raw("GetNewSession", {}).json()["permissions"]
    assert owner.post("AdminListRoles") == before


def test_who_loses_a_right_also_stops_being_others(owner: Owner, stack: ExitStack) -> None:
    stack.enter_context(owner.invite("alice", "guest"))
    warden = stack.enter_context(owner.invite("warden", "owner"))
    acting = warden.raw("GetNewSession", {"impersonateUser": "alice"}).json()
    assert acting["user_id"] == "alice"
    status = {"session_id": acting["session_id"]}
    assert "status" in warden.raw("GetCurrentStatus", status).json()
    assert owner.post("AdminChangeUserSettings", name="warden", settings={"roles": "user"}) == {"success": True}
    assert warden.raw("GetCurrentStatus", status).json()["error_id"] == "invalid_session_id"


def test_administrators_without_users_to_manage_cannot_decide_who_is_let_in(owner: Owner, stack: ExitStack) -> None:
    admin = stack.enter_context(owner.invite("adam", "admin"))
    assert admin.post("ChangeServerSettings", settings={"network.outputcacheseconds": 40}) == {"success": True}
    for path, value in [
        ("UserAuthorization.AuthorizationRequired", False),
        ("defaultuser.roles", "owner"),
        ("userauthorization.registration.newuserdefaultrole", "owner"),
    ]:
        assert admin.post("ChangeServerSettings", settings={path: value})["error_id"] == "bad_permissions"
    stranger = stack.enter_context(Member(owner.base))
    assert stranger.raw("GetNewSession", {}).json() == {"error": "Invalid or unauthorized."}


@pytest.mark.case("T68")
def test_another_users_things_are_out_of_reach(owner: Owner, world: World, stack: ExitStack) -> None:
    alice, bob = (stack.enter_context(owner.invite(name, "user")) for name in ("alice", "bob"))
    (url,) = alice.generate(**SMALL, overrideoutpathformat="mine")["images"]
    refused = {"error": "unauthorized - you may not view other users' outputs", "error_id": "unauthorized"}
    for path in (f"/{url}", "/View/alice/none.png", f"/{url}?preview=true"):
        assert bob.http.get(path).json() == refused
    for path in ("../alice/mine.png", "mine.png", "/alice/mine.png"):
        assert "error" in bob.post("DeleteImage", path=path) and "error" in bob.post("ToggleImageStarred", path=path)
    assert bob.post("ListImages", path="../alice", depth=3).get("files", []) == []
    assert bob.raw("GetNewSession", {"impersonateUser": "alice"}).json()["error_id"] == "bad_impersonate"
    assert bob.post("InterruptAll", other_sessions=True) == {"success": True}
    assert (world.outputs / "alice" / "mine.png").is_file()
    assert alice.http.get(f"/{url}").status_code == 200
    assert owner.http.get(f"/{url}").status_code == 200


def test_a_role_limits_pictures_at_once_over_all_requests(owner: Owner, stack: ExitStack) -> None:
    assert role(owner, "user", max_t2i_simultaneous=1) == {"success": True}
    alice = stack.enter_context(owner.invite("alice", "user"))
    assert owner.post("AdminGetUserInfo", name="alice")["max_t2i"] == 1
    sockets = [stack.enter_context(alice.socket("GenerateText2ImageWS")) for _ in range(3)]
    for seed, socket in enumerate(sockets):
        body = {"session_id": alice.session_id, "images": 1, **SMALL, "seed": seed, "steps": 20}
        socket.send(json.dumps(body))
    live = []
    for socket in sockets:
        for message in map(json.loads, socket):
            live.append(message.get("status", {}).get("live_gens", 0))
    assert max(live) == 1

"""A server with accounts: who gets in, who is shut out, and when (swarm-core 2, 5.1 to 5.5, 5.13, 5.18)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.conftest import Serve, World
from tests.support.accounts import FAR, PASSWORD, Member, Owner, accounts_mode
from tests.support.client import SwarmClient
from tests.support.server import options_for, server_in_thread

NOBODY = {"error": "Invalid or unauthorized."}
INVALID_SESSION = "invalid_session_id"


@pytest.fixture
def owner(world: World, serve: Serve) -> Iterator[Owner]:
    """The owner of a server with accounts."""
    accounts_mode(world.data)
    with Owner(serve().base) as client:
        yield client


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


def login(base: str, name: str, password: str, **headers: str) -> tuple[dict[str, str], str | None]:
    """What `Login` answers, and the token it set."""
    with SwarmClient(base) as client:
        answer = client.raw("Login", {"username": name, "password": password}, **{**FAR, **headers})
        return answer.json(), answer.cookies.get("swarm_token")


def test_strangers_get_no_session_and_the_owner_on_the_machine_does(owner: Owner) -> None:
    assert owner.raw("GetNewSession", {}).json()["user_id"] == "local"
    for headers in (FAR, {"X-Real-IP": "1.2.3.4"}, {"Forwarded": "for=1.2.3.4"}, {"Via": "1.1 proxy"}):
        assert owner.raw("GetNewSession", {}, **headers).json() == NOBODY
    for cookie in ("swarm_token=", "swarm_token=6c6f63616c.00.00", f"swarm_token=6c6f63616c.{'0' * 32}.{'0' * 32}"):
        assert owner.raw("GetNewSession", {}, **FAR, Cookie=cookie).json() == NOBODY
    named = owner.raw("GetNewSession", {}, **FAR, **{"X-SWARM-USER_ID": "local"})
    assert named.json() == NOBODY
    assert owner.raw("ListModels", {"path": "", "depth": 1}, **FAR).json()["error"] == "missing session id"


def test_a_login_sets_the_cookie_and_the_cookie_gives_sessions(owner: Owner, stack: ExitStack) -> None:
    owner.invite("alice", "user").http.close()
    with SwarmClient(owner.base) as visitor:
        answer = visitor.raw("Login", {"username": "ALICE!", "password": PASSWORD}, **FAR)
    assert answer.json() == {"success": "true"}
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("swarm_token=616c696365.") and "Expires=" in cookie
    assert all(part in cookie for part in ("HttpOnly", "Path=/", "SameSite=Lax")) and "Secure" not in cookie
    alice = stack.enter_context(Member(owner.base, answer.cookies["swarm_token"]))
    session = alice.raw("GetNewSession", {}).json()
    assert session["user_id"] == "alice" and "*" not in session["permissions"]
    bearer = owner.raw("GetNewSession", {}, **FAR, Authorization=f"Bearer {alice.token}")
    assert bearer.json()["user_id"] == "alice"


def test_pages_and_scripts_send_the_same_password_in_two_ways(owner: Owner) -> None:
    owner.invite("alice", "user").http.close()
    text = f"swarmclientpw:alice:{PASSWORD}"
    for sent in (PASSWORD, hashlib.sha256(text.encode()).hexdigest(), f"__swarmdoprehash:{text}"):
        assert login(owner.base, "alice", sent)[0] == {"success": "true"}


@pytest.mark.case("T70")
@pytest.mark.case("T61")
def test_wrong_names_and_passwords_look_the_same_and_are_counted(owner: Owner) -> None:
    owner.invite("alice", "user").http.close()
    tries = [("alice", "not her password"), ("nobody", PASSWORD), ("local", PASSWORD), ("al", PASSWORD), ("bob", "x")]
    assert [login(owner.base, *each)[0] for each in tries] == [{"error_id": "invalid_login"}] * 5
    assert [login(owner.base, "alice", "not her password")[0]["error_id"] for _ in range(3)] == [
        "invalid_login",
        "invalid_login",
        "ratelimit",
    ]
    forged = login(owner.base, "alice", PASSWORD, **{"X-Forwarded-For": "198.51.100.1", "X-Real-IP": "198.51.100.2"})
    assert forged[0] == {"error_id": "ratelimit"}


@pytest.mark.case("T63")
def test_logout_ends_the_login_and_its_sessions_and_no_other(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    other = stack.enter_context(owner.member("alice"))
    answer = alice.raw("Logout", {"session_id": alice.session_id})
    assert answer.json() == {"success": "true"}
    assert "swarm_token=;" in answer.headers["set-cookie"] and "Max-Age=-1" in answer.headers["set-cookie"]
    assert alice.post("GetCurrentStatus")["error_id"] == INVALID_SESSION
    assert alice.raw("GetNewSession", {}).json() == NOBODY
    assert "status" in other.post("GetCurrentStatus")
    assert "You do not appear to be actually logged in" in owner.post("Logout")["error"]


def test_sessions_and_logins_outlive_a_restart_unless_they_were_ended(world: World) -> None:
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as base, Owner(base) as owner:
        alice, bob = owner.invite("alice", "user"), owner.invite("bob", "poweruser")
        kept, ended, near = bob.session_id, alice.session_id, owner.session_id
        assert alice.post("Logout") == {"success": "true"}
        alice.http.close()
        bob.http.close()
    with server_in_thread(options_for(world.folder)) as base, Member(base, bob.token) as again:
        answers = [again.raw("GetCurrentStatus", {"session_id": each}).json() for each in (kept, ended, near)]
        assert "status" in answers[0]
        assert [each.get("error_id") for each in answers[1:]] == [INVALID_SESSION] * 2
        session = again.raw("GetNewSession", {}).json()
        assert session["user_id"] == "bob" and "load_models_now" in session["permissions"]


def test_tokens_are_listed_made_and_revoked(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    bob = stack.enter_context(owner.invite("bob", "user"))
    (only,) = alice.post("ListMyAuthTokens")["tokens"]
    assert only["is_current"] is True and only["user_agent"] == "test" and only["id"] in str(alice.token)
    assert alice.post("CreateAuthToken", reason=" ")["error"] == "Reason must be between 1 and 500 characters."
    bot = stack.enter_context(Member(owner.base, alice.post("CreateAuthToken", reason="my bot")["token"]))
    assert "status" in bot.post("GetCurrentStatus")
    made = next(each for each in alice.post("ListMyAuthTokens")["tokens"] if not each["is_current"])
    assert bob.post("RevokeMyAuthToken", tokenId=made["id"]) == {"error": "Token not found."}
    assert alice.post("RevokeMyAuthToken", tokenId=made["id"]) == {"success": True}
    assert bot.post("GetCurrentStatus")["error_id"] == INVALID_SESSION
    assert bot.raw("GetNewSession", {}).json() == NOBODY


def test_a_new_password_ends_every_other_login(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    other = stack.enter_context(owner.member("alice"))
    assert "status" in other.post("GetCurrentStatus")
    assert owner.post("AdminGetUserInfo", name="alice")["password_set_by_admin"] is True
    assert alice.post("ChangePassword", oldPassword="wrong", newPassword="something new")["error"].startswith("Incorr")
    assert alice.post("ChangePassword", oldPassword=PASSWORD, newPassword="something new") == {"success": True}
    assert owner.post("AdminGetUserInfo", name="alice")["password_set_by_admin"] is False
    assert "status" in alice.post("GetCurrentStatus")
    assert other.post("GetCurrentStatus")["error_id"] == INVALID_SESSION
    assert other.raw("GetNewSession", {}).json() == NOBODY
    assert login(owner.base, "alice", PASSWORD)[0] == {"error_id": "invalid_login"}
    assert login(owner.base, "alice", "something new")[0] == {"success": "true"}


@pytest.mark.case("T60")
@pytest.mark.parametrize(
    ("rules", "name", "answer"),
    [
        ((False, True), "carol", {"error_id": "registration_failed"}),
        ((True, False), "carol", {"error_id": "registration_failed"}),
        ((True, True), "Carol", {"success": "true"}),
        ((True, True), "c", {"error_id": "invalid_input"}),
        ((True, True), "1carol", {"error_id": "username_exists"}),
        ((True, True), "Owner", {"error_id": "username_exists"}),
        ((True, True), "l\u043ecal", {"success": "true"}),
    ],
)
def test_accounts_are_made_by_visitors_only_where_that_is_allowed(
    world: World, serve: Serve, rules: tuple[bool, bool], name: str, answer: dict[str, str]
) -> None:
    accounts_mode(world.data)
    with Owner(serve().base) as owner:
        changes = dict(zip(("allowregistration", "simplepasswordregistration"), rules, strict=True))
        settings = {f"userauthorization.registration.{key}": value for key, value in changes.items()}
        assert owner.post("ChangeServerSettings", settings=settings) == {"success": True}
        before = owner.post("AdminListUsers")["users"]
        body = {"username": name, "password": PASSWORD}
        assert owner.raw("RegisterBasic", body, **FAR).json() == answer
        made = [user for user in owner.post("AdminListUsers")["users"] if user not in before]
        assert len(made) == ("success" in answer) and "local" not in made
        oauth = owner.raw("RegisterOAuth", {"username": "dora", "oauth_tracker_key": "0" * 32, "oauth_type": "google"})
        assert oauth.json() == {"error_id": "invalid_input"}


def test_turning_accounts_on_needs_a_password_and_ends_what_nobody_proved(serve: Serve) -> None:
    client = serve()
    with SwarmClient(client.base) as bystander:
        assert "status" in bystander.post("GetCurrentStatus")
        on = {"userauthorization.authorizationrequired": True}
        refused = client.post("ChangeServerSettings", settings=on)
        assert refused["error"].startswith("Tried to enable authorization mode, but your account does not have a pass")
        assert client.post("ChangePassword", oldPassword="", newPassword=PASSWORD) == {"success": True}
        assert client.post("ListMyAuthTokens") == {"error": "Authorization is not enabled."}
        assert client.post("ChangeServerSettings", settings=on) == {"success": True}
        assert bystander.post("GetCurrentStatus")["error_id"] == INVALID_SESSION
    answer, token = login(client.base, "local", PASSWORD)
    assert answer == {"success": "true"} and token is not None
    with Member(client.base, token) as owner:
        assert "*" in owner.raw("GetNewSession", {}).json()["permissions"]


def test_the_owner_on_the_machine_cannot_lock_themselves_out(owner: Owner) -> None:
    off = {"userauthorization.allowlocalhostbypass": False}
    assert owner.post("ChangeServerSettings", settings=off)["error"].startswith("Tried to enable authorization mode")
    assert owner.post("ChangePassword", oldPassword="", newPassword=PASSWORD) == {"success": True}
    assert owner.post("ChangeServerSettings", settings=off) == {"success": True}
    assert owner.post("GetCurrentStatus")["error_id"] == INVALID_SESSION
    assert owner.raw("GetNewSession", {}).json() == NOBODY
    assert login(owner.base, "local", PASSWORD)[0] == {"success": "true"}


def test_page_addresses_lead_where_they_should(owner: Owner, stack: ExitStack) -> None:
    alice = stack.enter_context(owner.invite("alice", "user"))
    nobody = stack.enter_context(Member(owner.base))
    to_login, to_main = 'location.replace("Login")', 'location.replace("Text2Image")'
    for client, path, part in [
        (nobody, "/Text2Image", to_login),
        (nobody, "/Login", "<entry-form"),
        (nobody, "/Register", to_login),
        (alice, "/Text2Image", "<prompt-box>"),
        (alice, "/Login", to_main),
        (alice, "/Register", to_main),
        (owner, "/Login", to_main),
    ]:
        answer = client.http.get(path)
        assert answer.status_code == 200 and part in answer.text, path
    for path in ("/View/alice/x.png", "/Output/x.png", "/ViewSpecial/Preset/x"):
        answer = nobody.http.get(path)
        assert (answer.status_code, answer.json()) == (
            400,
            {"error": "invalid or unauthorized", "error_id": "invalid_user"},
        )
        assert alice.http.get(path).json()["error_id"] == "file_not_found"

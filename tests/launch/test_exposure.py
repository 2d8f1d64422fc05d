"""A server that other machines can reach needs somebody who can log in, or a loud word (security cases 1 and 2)."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.app import build_app
from swarm.base.errors import Refused, SwarmError
from swarm.cli import parse_options
from swarm.owner import asked_for_password, read_password
from swarm.settings.authorization import AuthorizationSettings
from swarm.settings.closed import is_loopback
from swarm.settings.file import load_settings, save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from tests.conftest import World
from tests.support.accounts import PASSWORD, Member
from tests.support.server import options_for, server_in_thread


@pytest.mark.parametrize(
    ("host", "loopback"), [("localhost", True), ("127.0.0.2", True), ("[::1]", True), ("*", False)]
)
def test_loopback_hosts(host: str, loopback: bool) -> None:
    assert is_loopback(host) == loopback
    assert not is_loopback("0.0.0.0") and not is_loopback("::") and not is_loopback("192.0.2.1")


def test_an_open_server_is_not_opened_to_others_by_accident(world: World) -> None:
    options = replace(options_for(world.folder), host="0.0.0.0")
    with pytest.raises(Refused, match="it has no accounts yet"):
        build_app(options)
    accounts = ServerSettings(user_authorization=AuthorizationSettings(authorization_required=True))
    save_settings(accounts, world.data / "Settings.fds")
    with pytest.raises(Refused, match="nobody has a password"):
        build_app(options)
    shut = AuthorizationSettings(authorization_required=True, allow_localhost_bypass=False)
    save_settings(ServerSettings(user_authorization=shut), world.data / "Settings.fds")
    with pytest.raises(Refused, match="nobody has a password"):
        build_app(options_for(world.folder))


@pytest.mark.parametrize("way", ["insecure", "authorization"])
def test_it_is_opened_by_a_flag_or_a_required_text(world: World, way: str) -> None:
    options = options_for(world.folder, insecure_no_auth=way == "insecure")
    if way == "authorization":
        network = NetworkSettings(required_authorization="secret", auth_bypass_ips="")
        save_settings(ServerSettings(network=network), world.data / "Settings.fds")
    with server_in_thread(replace(options, host="0.0.0.0")) as base, Member(base) as guest:
        page = guest.http.get("/Text2Image")
    if way == "insecure":
        assert "it was started with --insecure-no-auth" in page.text
    else:
        assert page.status_code == 401


def test_a_password_at_the_start_turns_accounts_on_for_good(world: World) -> None:
    options = replace(options_for(world.folder, owner_password=PASSWORD), host="0.0.0.0")
    with server_in_thread(options) as base, Member(base) as guest:
        assert guest.raw("GetNewSession", {}).json() == {"error": "Invalid or unauthorized."}
        login = guest.raw("Login", {"username": "local", "password": PASSWORD})
        assert login.json() == {"success": "true"}
        guest.http.headers["Cookie"] = f"swarm_token={login.cookies['swarm_token']}"
        assert "*" in guest.raw("GetNewSession", {}).json()["permissions"]
    assert load_settings(world.data / "Settings.fds").user_authorization.authorization_required
    with (
        server_in_thread(replace(options, owner_password=None)) as base,
        Member(base, login.cookies["swarm_token"]) as me,
    ):
        assert me.raw("GetNewSession", {}).json()["user_id"] == "local"


def test_a_password_that_is_too_simple_does_not_open_it(world: World) -> None:
    with pytest.raises(SwarmError, match="one of the first that are tried"):
        build_app(replace(options_for(world.folder, owner_password="password123"), host="0.0.0.0"))


def test_the_password_is_read_from_a_file_or_the_standard_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text("first line\nsecond line\n", encoding="utf-8")
    options, settings = parse_options(["--data-dir", str(tmp_path), "--owner-password-file", str(file)])
    assert options.owner_password == "first line" and "first line" not in repr(options)
    monkeypatch.setattr("sys.stdin", io.StringIO("piped\n"))
    assert read_password("-") == "piped"
    assert asked_for_password(replace(options, host="0.0.0.0", owner_password=None), settings).owner_password is None
    with pytest.raises(SwarmError, match="could not be read"):
        read_password(str(tmp_path / "none"))
    assert parse_options(["--insecure-no-auth"])[0].insecure_no_auth

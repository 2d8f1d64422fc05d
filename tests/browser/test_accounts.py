"""Logging in and managing people in Chromium, on the real server with accounts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Witness
from tests.conftest import Serve, World
from tests.support.accounts import FAR, PASSWORD, Owner, accounts_mode

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("SWARM_TEST_SHOTS")


@pytest.fixture
def base(world: World, serve: Serve) -> Iterator[str]:
    """A server with accounts, on which the owner has a password."""
    accounts_mode(world.data)
    with Owner(serve().base) as owner:
        owner.post("ChangePassword", oldPassword="", newPassword=PASSWORD)
        yield owner.base


@pytest.fixture
def stranger(browser: Browser, base: str) -> Iterator[Page]:
    """A tab of somebody on another machine. Its requests say so, as a proxy would."""
    with ExitStack() as stack:
        context = browser.new_context(viewport={"width": 1200, "height": 800}, extra_http_headers=FAR)
        stack.callback(context.close)
        page = context.new_page()
        witness = Witness(page, base, None)
        page.goto(f"{base}/Text2Image")
        yield page
        assert witness.complaints == []


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


def log_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()


def test_a_stranger_logs_in_and_out(stranger: Page) -> None:
    expect(stranger.get_by_role("heading", name="Local")).to_be_visible()
    expect(stranger.get_by_label("Name")).to_be_focused()
    log_in(stranger, "local", "not the password")
    expect(stranger.get_by_role("alert")).to_have_text("That name and password do not belong together.")
    shot(stranger, "login")
    log_in(stranger, "Local")
    expect(stranger.get_by_label("Prompt", exact=True)).to_be_visible()
    stranger.get_by_role("button", name="Account").click()
    account = stranger.get_by_role("dialog", name="Account")
    expect(account).to_contain_text("You are local.")
    account.get_by_label("What for").fill("a bot")
    account.get_by_role("button", name="Make a token").click()
    expect(account.get_by_label("The token, shown this once")).to_have_value(
        re.compile(r"^6c6f63616c\.\w{32}\.\w{32}$")
    )
    expect(account.get_by_role("listitem")).to_have_count(2)
    shot(stranger, "account")
    account.get_by_role("button", name="Log out").click()
    expect(stranger.get_by_role("button", name="Log in")).to_be_visible()


def test_the_owner_makes_an_account_that_works(stranger: Page, base: str) -> None:
    log_in(stranger, "local")
    stranger.get_by_role("button", name="People").click()
    people = stranger.get_by_role("dialog", name="People")
    people.get_by_label("Name").fill("alice")
    people.get_by_label("Password").fill(PASSWORD)
    people.get_by_label("Role").select_option("user")
    people.get_by_role("button", name="Make the account").click()
    expect(people.get_by_role("status")).to_have_text("")  # the list was read anew
    expect(people.get_by_role("button", name="alice")).to_have_attribute("aria-pressed", "true")
    people.get_by_role("checkbox", name="poweruser").check()
    people.get_by_role("button", name="Save the roles").click()
    expect(people.get_by_role("status")).to_have_text("The roles of alice are saved.")
    shot(stranger, "users")
    people.get_by_role("button", name="Roles", exact=True).click()
    people.get_by_role("button", name="PowerUser").click()
    people.get_by_role("checkbox", name="Edit Wildcards").uncheck()
    shot(stranger, "roles")
    people.get_by_role("button", name="Save", exact=True).click()
    expect(people.get_by_role("status")).to_contain_text("The role is saved")
    with Owner(base) as owner:
        assert owner.post("AdminGetUserInfo", name="alice")["settings"]["roles"]["value"] == "poweruser || user"
        assert "edit_wildcards" not in owner.post("AdminListRoles")["roles"]["poweruser"]["permissions"]
    stranger.keyboard.press("Escape")
    stranger.get_by_role("button", name="Account").click()
    stranger.get_by_role("button", name="Log out").click()
    log_in(stranger, "alice")
    expect(stranger.get_by_label("Prompt", exact=True)).to_be_visible()
    expect(stranger.get_by_role("button", name="People")).to_be_hidden()


def test_an_account_is_deleted_after_a_question(stranger: Page, base: str) -> None:
    with Owner(base) as owner:
        owner.invite("alice", "user").http.close()
        log_in(stranger, "local")
        stranger.get_by_role("button", name="People").click()
        people = stranger.get_by_role("dialog", name="People")
        people.get_by_role("button", name="alice").click()
        people.get_by_role("button", name="Delete").click()
        stranger.get_by_role("button", name="Delete", exact=True).click()
        expect(people.get_by_role("button", name="alice")).to_have_count(0)
        assert owner.post("AdminListUsers") == {"users": ["local"]}

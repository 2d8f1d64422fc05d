"""The server panel in Chromium, on the real server: backends, models, downloads, trash, machine, log, settings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Serve, World
from tests.security.worlds import wait_until
from tests.support.accounts import FAR, PASSWORD, Owner, accounts_mode
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import ServerProcess, free_port

pytestmark = pytest.mark.browser

SHOTS = os.environ.get("SWARM_TEST_SHOTS")
NOWHERE = "http://127.0.0.1:9"


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png")


@contextmanager
def own_server(world: World, log: Path) -> Iterator[ServerProcess]:
    """A server in a process of its own, which may end and start anew."""
    server = ServerProcess(world.folder, free_port(), log=log)
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


def open_part(page: Page, name: str) -> Locator:
    page.get_by_role("button", name="Server", exact=True).click()
    panel = page.get_by_role("dialog", name="Server")
    panel.get_by_role("tab", name=name).click()
    return panel


def said(panel: Locator) -> Locator:
    return panel.locator(".panel-said")


def test_a_backend_is_added_edited_switched_off_and_deleted(client: SwarmClient, open_page: OpenPage) -> None:
    page = open_page(client.base)
    panel = open_part(page, "Backends")
    expect(panel.locator(".backend-summary")).to_contain_text("1 of 1 backend running")
    expect(panel.locator(".backend")).to_contain_text(
        "Running · no model loaded · up to 4 pictures at once · not used yet"
    )
    panel.get_by_label("Kind").select_option("comfyui_api")
    expect(panel.get_by_text("A running ComfyUI, here or elsewhere.")).to_be_visible()
    panel.get_by_role("button", name="Add the backend").click()
    card = panel.locator(".backend[data-key='1']")
    expect(card.get_by_label("Title")).to_be_focused()
    card.get_by_label("Title").fill("The other room")
    expect(card.get_by_label("Address")).to_have_attribute("placeholder", "http://127.0.0.1:8188")
    card.get_by_label("Address").fill(NOWHERE)
    card.get_by_label("Allow idle").check()
    card.get_by_label("Over queue").fill("2")
    card.get_by_role("button", name="Save and start anew").click()
    expect(card.get_by_role("heading")).to_have_text("The other room")
    expect(card).to_contain_text("Does not answer")
    made = client.post("ListBackends")["1"]
    assert (made["title"], made["settings"]) == (
        "The other room",
        {"Address": NOWHERE, "AllowIdle": True, "OverQueue": 2},
    )
    card.get_by_role("button", name="Switch off").click()
    expect(said(panel)).to_have_text("The other room is switched off.")
    expect(card).to_contain_text("Switched off")
    assert client.post("ListBackends")["1"]["enabled"] is False
    card.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).click()
    expect(said(panel)).to_have_text("The other room is deleted.")
    expect(panel.locator(".backend")).to_have_count(1)
    panel.get_by_role("button", name="Free all memory").click()
    expect(said(panel)).to_have_text("There was no memory to give back.")
    panel.get_by_role("button", name="Restart all").click()
    expect(said(panel)).to_have_text("1 backend restarted.")


def test_a_failed_backend_says_why_and_a_refused_change_too(world: World, serve: Serve, open_page: OpenPage) -> None:
    world.backends(FailStart="The device is on fire.")
    page = open_page(serve().base, is_ready=False)
    panel = open_part(page, "Backends")
    card = panel.locator(".backend")
    expect(card).to_contain_text("The device is on fire.")
    panel.get_by_label("Kind").select_option("swarmswarmbackend")
    panel.get_by_role("button", name="Add the backend").click()
    added = panel.locator(".backend[data-key='1']")
    added.get_by_label("Authorization header").fill("Bearer abc")
    added.get_by_label("Other headers").fill("A: 1\nB: 2")
    added.get_by_label("Number").fill("0")
    added.get_by_role("button", name="Save and start anew").click()
    expect(said(panel)).to_have_text("Backend ID 0 is already in use.")
    added.get_by_label("Number").fill("7")
    added.get_by_role("button", name="Save and start anew").click()
    moved = panel.locator(".backend[data-key='7']")
    moved.get_by_role("button", name="Edit").click()
    expect(moved.get_by_label("Authorization header")).to_have_value("")
    expect(moved.get_by_label("Other headers")).to_have_value("A: 1\nB: 2")
    moved.get_by_label("Have none").check()
    moved.get_by_role("button", name="Save and start anew").click()
    moved.get_by_role("button", name="Edit").click()
    expect(moved.get_by_label("Have none")).to_have_count(0)


def test_a_model_is_described_renamed_deleted_restored_and_deleted_for_good(
    client: SwarmClient, world: World, open_page: OpenPage
) -> None:
    page = open_page(client.base)
    panel = open_part(page, "Models")
    write_model(world.models / "Lora" / "ink.safetensors")
    panel.get_by_label("Kind of model").select_option("LoRA")
    expect(panel.get_by_text("0 files")).to_be_visible()
    panel.get_by_role("button", name="Look for new files").click()
    expect(said(panel)).to_have_text("All folders were read. 1 new file in this list.")
    panel.get_by_role("button", name="ink.safetensors").click()
    panel.get_by_label("Title").fill("Ink & <wash>")
    panel.get_by_label("Tags").fill("line, black")
    panel.get_by_label("Usual weight").fill("0.8")
    panel.get_by_role("button", name="Save").click()
    expect(said(panel)).to_have_text("Saved beside the model.")
    model = client.post("DescribeModel", modelName="ink", subtype="LoRA")["model"]
    assert (model["title"], model["tags"], model["lora_default_weight"]) == ("Ink & <wash>", ["line", "black"], "0.8")
    panel.get_by_label("New name").fill("drawn/ink.safetensors")
    panel.get_by_role("button", name="Rename").click()
    expect(panel.get_by_role("heading", name="drawn/ink.safetensors")).to_be_visible()
    for act in ("Restore", "Delete"):
        panel.get_by_role("tab", name="Models").click()
        panel.get_by_role("button", name="drawn/ink.safetensors").click()
        panel.get_by_role("button", name="Delete").click()
        page.get_by_role("button", name="Delete", exact=True).last.click()
        expect(said(panel)).to_have_text("drawn/ink.safetensors is in the trash.")
        panel.get_by_role("tab", name="Trash").click()
        panel.get_by_role("button", name=f"{act} ink.safetensors").click()
        if act == "Restore":
            expect(said(panel)).to_have_text("ink.safetensors is back in its place.")
    page.get_by_role("button", name="Delete for good", exact=True).click()
    expect(panel.get_by_text("The trash is empty.")).to_be_visible()
    assert client.post("ListTrash") == {"deleted": []}
    assert client.post("ListModels", path="", depth=9, subtype="LoRA")["files"] == []


def test_a_refused_download_says_why_and_can_be_tried_again(client: SwarmClient, open_page: OpenPage) -> None:
    page = open_page(client.base)
    panel = open_part(page, "Downloads")
    panel.get_by_label("Address of the file").fill("https://example.com/models/ink%20wash.safetensors?x=1")
    panel.get_by_label("Address of the file").press("Tab")
    expect(panel.get_by_label("Name, which may begin with a folder")).to_have_value("ink wash")
    panel.get_by_role("combobox", name="Kind of model").select_option("LoRA")
    panel.get_by_role("button", name="Download", exact=True).click()
    refused = panel.get_by_text("Downloads from 'example.com' are not allowed.")
    expect(refused).to_have_count(1)
    panel.get_by_role("button", name="Download ink wash again").click()
    expect(refused).to_have_count(1)
    panel.get_by_role("button", name="Take ink wash off the list").click()
    expect(panel.get_by_text("Nothing was downloaded since this page was opened.")).to_be_visible()


def test_web_hooks_and_other_settings_are_saved(client: SwarmClient, open_page: OpenPage) -> None:
    page = open_page(client.base)
    panel = open_part(page, "Settings")
    panel.get_by_role("button", name="Web hooks").click()
    panel.get_by_label("Every gen webhook", exact=True).fill("https://example.com/hook")
    panel.get_by_label("Every gen webhook data").fill('{\n  "text": "%prompt%"\n}')
    panel.get_by_label("Secret").fill("a long secret")
    panel.get_by_label("Queue end delay").fill("2.5")
    panel.get_by_role("button", name="Save").click()
    expect(said(panel)).to_have_text("Saved.")
    expect(panel.get_by_label("Secret")).to_have_value("")
    panel.get_by_role("button", name="Save").click()
    expect(said(panel)).to_have_text("Nothing is changed.")
    hooks = client.post("ListServerSettings")["settings"]["webhooks"]["value"]
    assert hooks["everygenwebhook"]["value"] == "https://example.com/hook"
    assert hooks["everygenwebhookdata"]["value"] == '{\n  "text": "%prompt%"\n}'
    assert hooks["queueenddelay"]["value"] == 2.5
    panel.get_by_role("button", name="Network").click()
    panel.get_by_label("Port", exact=True).fill("7802")
    panel.get_by_role("button", name="Save").click()
    expect(said(panel)).to_contain_text("acts after the next one")


def test_a_server_is_looked_at_restarted_and_stopped(world: World, tmp_path: Path, open_page: OpenPage) -> None:
    log = tmp_path / "server.log"
    with own_server(world, log) as server:
        page = open_page(server.base, tolerate="net::ERR_")
        panel = open_part(page, "Log")
        expect(panel.get_by_text("No line to show.")).to_be_visible()
        with SwarmClient(server.base) as client:
            client.post("ServerDebugMessage", message="<b>a line of mine</b>")
        expect(panel.get_by_label("Lines of the log")).to_contain_text("<b>a line of mine</b>")
        panel.get_by_label("Search in the log").fill("of MINE")
        expect(panel.get_by_label("Lines of the log").get_by_role("listitem")).to_have_count(1)
        with page.expect_download() as saved:
            panel.get_by_role("button", name="Save as a file").click()
        assert "<b>a line of mine</b>" in Path(saved.value.path()).read_text(encoding="utf-8")
        panel.get_by_label("Search in the log").fill("nothing like this")
        expect(panel.get_by_text("No line to show.")).to_be_visible()
        panel.get_by_role("tab", name="Machine").click()
        expect(panel.get_by_role("progressbar", name="Memory:")).to_be_visible()
        expect(panel.locator(".people-here")).to_contain_text("local")
        panel.get_by_role("button", name="Restart the server").click()
        page.get_by_role("button", name="Restart", exact=True).click()
        expect(said(panel)).to_contain_text("The server starts anew.")
        wait_until(lambda: log.read_text(encoding="utf-8").count("Swarm is ready") == 2, seconds=20)
        panel.get_by_role("button", name="Shut down").click()
        page.get_by_role("button", name="Shut down", exact=True).click()
        expect(said(panel)).to_contain_text("The server stops.")
        assert server.child.wait(30) == 0


def test_what_the_server_refuses_is_told_in_its_words(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    panel = open_part(page, "Machine")
    panel.get_by_role("button", name="Shut down").click()
    page.get_by_role("button", name="Shut down", exact=True).click()
    expect(said(panel)).to_have_text("Another program runs this server, and only that can stop it.")


def test_nobody_is_offered_what_they_may_not_do(world: World, serve: Serve, browser: Browser) -> None:
    accounts_mode(world.data)
    with Owner(serve().base) as owner, ExitStack() as stack:
        owner.post("ChangePassword", oldPassword="", newPassword=PASSWORD)
        for name, role in (("ada", "poweruser"), ("bob", "user")):
            owner.invite(name, role).http.close()
            context = browser.new_context(extra_http_headers=FAR)
            stack.callback(context.close)
            page = context.new_page()
            page.goto(f"{owner.base}/Text2Image")
            page.get_by_label("Name").fill(name)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_selector("[data-act=generate]:enabled")
            server = page.get_by_role("button", name="Server", exact=True)
            if role == "user":
                expect(server).to_be_hidden()
                continue
            server.click()
            panel = page.get_by_role("dialog", name="Server")
            expect(panel.locator(".backend")).to_have_count(1)
            assert panel.get_by_role("tab").all_inner_texts() == ["Backends", "Models", "Downloads", "Trash"]
            assert panel.locator(".backend .panel-acts").get_by_role("button").all_inner_texts() == [
                "Restart",
                "Free memory",
            ]
            expect(panel.get_by_role("button", name="Add the backend")).to_have_count(0)


def test_the_keyboard_alone_reaches_every_part_on_a_small_screen(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, width=360, height=740)
    page.get_by_role("button", name="Server", exact=True).press("Enter")
    panel = page.get_by_role("dialog", name="Server")
    first = panel.get_by_role("tab", name="Backends")
    expect(first).to_be_focused()
    for name in ("Models", "Downloads", "Trash", "Machine", "Log", "Settings"):
        page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        expect(panel.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")
        expect(panel.get_by_role("tabpanel", name=name)).to_be_visible()
        overflow = page.evaluate(
            "() => [document.documentElement, document.querySelector('[role=tabpanel]:not([hidden])')]"
            ".some((one) => one.scrollWidth > one.clientWidth)"
        )
        assert not overflow, name
    page.keyboard.press("Home")
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.act") == "edit":
            break
    page.keyboard.press("Enter")
    expect(panel.get_by_label("Title")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Server", exact=True)).to_be_focused()

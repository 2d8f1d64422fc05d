"""The main page in Chromium, on the real server with the fake backend."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import OpenPage
from tests.conftest import Serve, World

pytestmark = pytest.mark.browser

SCREENSHOT = Path(__file__).resolve().parents[2] / "docs" / "images" / "page.png"
PROMPT = "a red house on a meadow at night, under a full moon"
WATCH = """() => {
  window.seen = { previews: 0, finals: 0, previewFirst: false, percents: [] }
  const image = document.querySelector("image-stage .stage-picture img")
  new MutationObserver(() => {
    const address = image.getAttribute("src")
    if (address.startsWith("data:")) window.seen.previews += 1
    else window.seen.finals += 1
    if (window.seen.previews && !window.seen.finals) window.seen.previewFirst = true
    window.seen.percents.push(document.querySelector("generate-bar progress").value)
  }).observe(image, { attributes: true, attributeFilter: ["src"] })
}"""


def generate(page: Page, prompt: str = PROMPT, images: int = 1) -> None:
    """Fill in the prompt, choose how many, press the button and wait until the server is done."""
    finished = page.locator("batch-strip .tile:not(.is-live)")
    before = finished.count()
    start(page, prompt, images)
    expect(finished).to_have_count(before + images, timeout=30_000)
    expect(page.locator("generate-bar.is-running")).to_have_count(0)


def start(page: Page, prompt: str = PROMPT, images: int = 1) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    page.get_by_label("Images", exact=True).fill(str(images))
    page.get_by_label("Images", exact=True).blur()
    page.get_by_role("button", name="Generate").click()


def set_steps(page: Page, steps: int) -> None:
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Steps", exact=True).press("Tab")


def test_two_pictures_come_with_previews_and_progress(slow_server: str, open_page: OpenPage) -> None:
    page = open_page(slow_server)
    page.evaluate(WATCH)
    generate(page, images=2)
    seen = page.evaluate("window.seen")
    assert seen["previewFirst"] and seen["previews"] >= 2
    assert any(0 < percent < 1 for percent in seen["percents"])
    expect(page.locator("batch-strip .tile")).to_have_count(2)
    expect(page.locator("history-browser .thumb")).to_have_count(2)
    expect(page.locator(".stage-prompt")).to_have_text(PROMPT)
    page.wait_for_function("() => document.querySelector('.stage-picture img').naturalWidth >= 64")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.thumb img')].every((image) => image.naturalWidth > 0)"
    )


def test_the_first_model_is_chosen_and_the_list_can_be_searched(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    expect(page.locator(".model-current strong")).not_to_have_text("Loading …")
    page.locator(".model-current").click()
    expect(page.locator(".model-card")).to_have_count(1)
    page.get_by_label("Search models").fill("nothing like this")
    expect(page.get_by_text("No model matches.")).to_be_visible()
    page.locator(".model-dialog").get_by_role("button", name="Close").click()
    expect(page.locator(".model-dialog")).not_to_be_visible()


def test_a_picture_is_enlarged_with_its_metadata(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    generate(page, images=2)
    page.locator("history-browser .thumb").first.click()
    page.get_by_role("button", name="Enlarge the picture").click()
    viewer = page.locator("picture-viewer dialog")
    expect(viewer.locator("[data-id=prompt] dd")).to_have_text(PROMPT)
    first = viewer.locator("[data-id=seed] dd").inner_text()
    page.keyboard.press("ArrowRight")
    expect(viewer.locator("[data-id=seed] dd")).not_to_have_text(first)
    page.keyboard.press("Escape")
    expect(viewer).not_to_be_visible()


def test_reuse_brings_back_what_made_a_picture(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    set_steps(page, 7)
    generate(page)
    set_steps(page, 30)
    page.get_by_label("Prompt", exact=True).fill("something else")
    page.locator("image-stage").get_by_role("button", name="Reuse parameters").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("7")
    expect(page.get_by_label("Seed", exact=True)).not_to_have_value("")


def test_choices_outlive_a_reload(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    page.get_by_label("Prompt", exact=True).fill(PROMPT)
    set_steps(page, 9)
    page.reload()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(PROMPT)
    expect(page.get_by_label("Steps", exact=True)).to_have_value("9")


def test_interrupt_stops_the_run(slow_server: str, open_page: OpenPage) -> None:
    page = open_page(slow_server)
    set_steps(page, 500)
    start(page, images=40)
    page.wait_for_selector("batch-strip .tile")
    page.get_by_role("button", name="Interrupt").click()
    expect(page.locator("generate-bar.is-running")).to_have_count(0, timeout=10_000)
    expect(page.get_by_role("button", name="Interrupt")).to_be_disabled()
    expect(page.locator("batch-strip .tile")).to_have_count(0)
    expect(page.locator("history-browser .thumb")).to_have_count(0)


def test_a_reload_can_still_interrupt_what_runs(slow_server: str, open_page: OpenPage) -> None:
    page = open_page(slow_server)
    set_steps(page, 500)
    start(page, images=40)
    page.wait_for_selector("batch-strip .tile")
    page.reload()
    page.get_by_role("button", name="Interrupt").click()
    expect(page.locator("status-line")).to_have_text("Ready", timeout=10_000)
    expect(page.get_by_role("button", name="Interrupt")).to_be_disabled()


def test_a_lost_server_is_told_and_so_is_its_return(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, tolerate="net::ERR_")
    ask_again = "document.dispatchEvent(new Event('visibilitychange'))"
    page.context.set_offline(True)
    page.evaluate(ask_again)
    expect(page.locator("status-line")).to_contain_text("No connection")
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()
    page.context.set_offline(False)
    expect(page.get_by_text("Connected again.")).to_be_visible()
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()


def test_a_session_that_the_server_forgot_is_renewed(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, tolerate="401")
    page.evaluate("sessionStorage.setItem('swarm.session', JSON.stringify({ session_id: 'gone', user_id: 'local' }))")
    page.reload()
    generate(page)
    expect(page.locator("history-browser .thumb")).to_have_count(1)


def test_a_star_and_a_deletion_reach_the_server(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    generate(page, images=2)
    stage = page.locator("image-stage")
    stage.get_by_role("button", name="Star").click()
    expect(page.locator(".thumb-star:visible")).to_have_count(1)
    page.get_by_role("button", name="Read the history again").click()
    expect(page.locator(".thumb-star:visible")).to_have_count(1)
    page.locator("history-browser .thumb:not(:has(.thumb-star:visible))").click()
    stage.get_by_role("button", name="Delete").click()
    page.locator("confirm-dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("history-browser .thumb")).to_have_count(1)


def test_a_picture_becomes_the_init_image(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    generate(page)
    page.locator("image-stage").get_by_role("button", name="Use as init image").click()
    expect(page.get_by_label("Use Init Image")).to_be_checked()
    generate(page)
    expect(page.locator("batch-strip .tile")).to_have_count(2)


def test_a_refusal_is_told_in_the_servers_words(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    page.get_by_label("Show advanced parameters").check()
    page.get_by_label("Search parameters").fill("raw resolution")
    page.get_by_label("Raw Resolution", exact=True).fill("7x7")
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_contain_text("Invalid resolution: 7x7")
    page.get_by_role("button", name="Close this notice").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_search_finds_hidden_parameters(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    expect(page.get_by_label("Sampler Rho", exact=True)).not_to_be_visible()
    page.get_by_label("Search parameters").fill("rho")
    expect(page.get_by_label("Sampler Rho", exact=True)).to_be_visible()
    page.get_by_label("Search parameters").fill("no such thing")
    expect(page.get_by_text("No parameter matches.")).to_be_visible()


def test_a_narrow_window_needs_no_sideways_scrolling(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, width=360, height=740)
    generate(page, images=2)
    for name in ("Resolution", "Sampling", "Init Image"):
        page.locator(".group-fold", has_text=name).first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="Enlarge the picture").click()
    assert page.evaluate("document.querySelector('.viewer').scrollWidth") <= 360


def test_a_free_size_begins_with_that_of_the_ratio(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    page.locator(".group-fold", has_text="Resolution").click()
    page.get_by_label("Aspect Ratio", exact=True).select_option("16:9")
    expect(page.locator(".group-note", has_text="672 × 384")).to_be_visible()
    expect(page.get_by_label("Width", exact=True)).not_to_be_visible()
    page.get_by_label("Aspect Ratio", exact=True).select_option("Custom")
    expect(page.get_by_label("Width", exact=True)).to_have_value("672")
    expect(page.get_by_label("Height", exact=True)).to_have_value("384")


def test_without_a_model_the_page_says_what_to_do(world: World, serve: Serve, open_page: OpenPage) -> None:
    (world.models / "Stable-Diffusion" / "tiny.safetensors").unlink()
    page = open_page(serve().base, is_ready=False)
    expect(page.get_by_role("heading", name="There is no model yet")).to_be_visible()
    expect(page.get_by_role("button", name="Generate")).to_be_disabled()


def test_the_theme_follows_the_system_until_it_is_chosen(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, dark=True)
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = page.evaluate(ground)
    page.locator("theme-switch button").click()
    assert page.evaluate(ground) != dark
    page.reload()
    assert page.evaluate(ground) != dark
    page.locator("theme-switch button").click()
    assert page.evaluate(ground) == dark


def test_the_keyboard_reaches_everything(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    generate(page, images=3)
    prompt = page.get_by_label("Prompt", exact=True)
    prompt.press("Control+Enter")
    expect(page.locator("batch-strip .tile")).to_have_count(6)
    thumbs = page.locator("history-browser .thumb")
    expect(thumbs).to_have_count(6)
    assert page.locator("history-browser .thumb[tabindex='0']").count() == 1
    thumbs.first.focus()
    page.keyboard.press("ArrowRight")
    expect(thumbs.nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(thumbs.nth(1)).to_have_attribute("aria-pressed", "true")


@pytest.mark.skipif("SWARM_SCREENSHOTS" not in os.environ, reason="pictures for the README are made on request")
def test_the_readme_shows_the_page(open_page: OpenPage) -> None:
    """SWARM_SCREENSHOTS is the address of a running server, whose model makes the pictures."""
    page = open_page(os.environ["SWARM_SCREENSHOTS"], dark=True)
    generate(page, images=4)
    page.mouse.move(0, 0)
    page.wait_for_timeout(500)
    SCREENSHOT.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOT)

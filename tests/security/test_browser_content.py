"""Markup in everything that people name and write, opened in Chromium: it is shown, and nothing comes of it."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, Dialog, Page, expect

from tests.browser.conftest import Witness
from tests.conftest import World
from tests.security.corpus import MARKUP
from tests.support.accounts import PASSWORD, Owner, accounts_mode
from tests.support.models import SD15_TENSORS, write_model
from tests.support.server import options_for, server_in_thread

pytestmark = pytest.mark.browser

WATCH = "window.ran = []; window.pwned = (...args) => window.ran.push(location.href + args)"
FOREIGN = """() => [...document.querySelectorAll("*")].filter((one) =>
  [...one.attributes].some((each) => each.name.startsWith("on") || /^\\s*javascript:/i.test(each.value)
    && ["href", "src", "action", "formaction", "xlink:href"].includes(each.name))
  || ["BASE", "IFRAME", "OBJECT", "EMBED", "MATH"].includes(one.tagName)
  || (one.tagName === "META" && one.httpEquiv === "refresh") || (one.tagName === "STYLE")
  || (one.tagName === "SCRIPT" && !one.src)).map((one) => one.outerHTML.slice(0, 200))"""
"""Elements that no page of ours has."""

DESCRIPTION = (
    "# Title\\n[click](javascript:pwned()) ![](https://evil.example/x.png) <img src=x onerror=pwned()>"
    '<a href="data:text/html,<script>pwned()</script>">x</a><script>pwned()</script><iframe src=//evil.example>'
)


def picture(text: str, key: str = "parameters") -> bytes:
    """A PNG that says `text` wherever a PNG can say something."""
    info, file, image = PngInfo(), io.BytesIO(), Image.new("RGB", (64, 64), "blue")
    about = {"sui_image_params": {key: text, "prompt": text, "model": text, text: text}, "sui_extra_data": {text: text}}
    info.add_text("parameters", json.dumps(about))
    info.add_text("Comment", text)
    info.add_itxt("XML:com.adobe.xmp", f"<x>{text}</x>")
    exif = Image.Exif()
    exif[0x010E] = text
    image.save(file, "PNG", pnginfo=info, exif=exif)
    return file.getvalue()


def furnish(world: World) -> None:
    """Models, LoRAs and pictures that carry markup, by file."""
    for number, text in enumerate(MARKUP):
        about = {"modelspec.title": text, "modelspec.description": DESCRIPTION, "modelspec.author": text}
        write_model(world.models / "Stable-Diffusion" / f"m{number}.safetensors", SD15_TENSORS, **about)
        write_model(world.models / "Lora" / f"l{number}.safetensors", SD15_TENSORS, **about)
        own = world.outputs / "local" / "raw"
        own.mkdir(parents=True, exist_ok=True)
        (own / f"p{number}.png").write_bytes(picture(text))
    for number, text in enumerate(each for each in MARKUP if "/" not in each and "\u2028" not in each):
        name = text.encode("utf-8", "ignore")[:200].decode("utf-8", "ignore")
        (world.outputs / "local" / "raw" / f"{name}{number}.png").write_bytes(picture(text))


def tell(owner: Owner) -> None:
    """Presets, wildcards, roles, backends and settings that carry markup, over the wire."""
    for number, text in enumerate(MARKUP):
        params = {"prompt": text}
        owner.post("AddNewPreset", title=f"{text}{number}", description=text, param_map=params, is_edit=True)
        owner.post("EditWildcard", card=f"{text}{number}", options=text)
        owner.post("AdminAddRole", name=f"{text}{number}", display_name=f"{text}{number}")
        owner.post("AdminAddUser", name=f"{text}{number}", password=PASSWORD, role="user")
    owner.post("EditBackend", backend_id=0, title=MARKUP[0], settings={})
    owner.post("ChangeServerSettings", settings={"userauthorization.instancetitle": MARKUP[0]})


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    world = World(tmp_path_factory.mktemp("content"))
    world.backends(StepMilliseconds=0)
    furnish(world)
    accounts_mode(world.data)
    with server_in_thread(options_for(world.folder)) as running, Owner(running) as owner:
        owner.post("ChangePassword", oldPassword="", newPassword=PASSWORD)
        tell(owner)
        yield running


@pytest.fixture
def page(browser: Browser, base: str) -> Iterator[Page]:
    """The main page, as its owner sees it. Nothing may run, ask, fail or leave."""
    with ExitStack() as stack:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        stack.callback(context.close)
        context.add_init_script(WATCH)
        shown = context.new_page()
        asked: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        shown.on("dialog", dismiss)
        witness = Witness(shown, base, "Failed to load resource")
        shown.goto(f"{base}/Text2Image")
        shown.wait_for_selector("[data-act=generate]:enabled")
        yield shown
        assert shown.evaluate(FOREIGN) == []
        assert shown.evaluate("window.ran") == [] and asked == []
        assert witness.complaints == []
        assert shown.url.startswith(base)


@pytest.mark.case("T53", "T55")
def test_names_of_models_are_text(page: Page) -> None:
    page.locator(".model-current").click()
    cards = page.locator(".model-card")
    expect(cards).to_have_count(len(MARKUP))
    shown = "\n".join(page.locator(".model-card strong").all_text_contents())
    for text in MARKUP:
        assert text.strip() in shown
    assert page.evaluate(FOREIGN) == []
    for card in cards.all()[:6]:
        card.hover()
    cards.nth(3).click()
    assert page.evaluate(FOREIGN) == []


@pytest.mark.case("T51", "T53")
def test_what_pictures_say_is_text(page: Page) -> None:
    thumbs = page.locator("history-browser .thumb")
    expect(thumbs.first).to_be_visible()
    seen = ""
    for index in range(min(thumbs.count(), 30)):
        thumbs.nth(index).click()
        seen += page.locator("image-stage").inner_text()
        assert page.evaluate("window.ran") == []
    assert sum(text in seen for text in MARKUP) >= 5
    page.get_by_role("button", name="Enlarge the picture").click()
    viewer = page.locator("picture-viewer dialog")
    expect(viewer).to_be_visible()
    for _ in range(12):
        page.keyboard.press("ArrowRight")
        assert page.evaluate(FOREIGN) == [] and page.evaluate("window.ran") == []
    assert any(text in viewer.inner_text() for text in MARKUP)


@pytest.mark.case("T53")
def test_names_of_people_and_roles_are_text(page: Page) -> None:
    page.get_by_role("button", name="People").click()
    people = page.get_by_role("dialog", name="People")
    expect(people).to_be_visible()
    for role in people.get_by_role("button").all()[:8]:
        role.hover()
    assert page.evaluate(FOREIGN) == []
    people.get_by_role("button", name="Roles", exact=True).click()
    assert page.evaluate(FOREIGN) == []


@pytest.mark.case("T54")
@pytest.mark.parametrize("text", [MARKUP[0], MARKUP[1], MARKUP[3]])
def test_a_refusal_that_repeats_markup_is_text(page: Page, text: str) -> None:
    page.get_by_label("Show advanced parameters").check()
    page.get_by_label("Search parameters").fill("raw resolution")
    page.get_by_label("Raw Resolution", exact=True).fill(text)
    page.get_by_role("button", name="Generate").click()
    expect(page.get_by_role("alert")).to_contain_text(text[:10])

"""Pictures as input on the page: lists of them, masks drawn on them, and what can be done with a finished one."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import OpenPage
from tests.browser.test_page import PROMPT, generate
from tests.conftest import Serve, World

pytestmark = pytest.mark.browser

CHOICE = """async (id) => (await import(document.querySelector("script[type=module]").src.replace(/main\\.js.*/,
  "state/app.js"))).params.value(id)"""


def picture(name: str, colour: str, size: tuple[int, int] = (96, 64)) -> FilePayload:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return {"name": name, "mimeType": "image/png", "buffer": data.getvalue()}


def chosen(page: Page, id: str) -> Any:
    """The value of a parameter as the page holds it."""
    return page.evaluate(CHOICE, id)


def opened(url: str) -> Image.Image:
    head, _, body = url.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def sent(page: Page) -> list[dict[str, Any]]:
    """Fills up with the requests of the generation sockets."""
    requests: list[dict[str, Any]] = []
    page.on(
        "websocket",
        lambda socket: socket.on("framesent", lambda payload: requests.append(json.loads(payload))),
    )
    return requests


def colours(page: Page) -> list[tuple[int, ...]]:
    return [opened(url).convert("RGB").getpixel((0, 0)) for url in chosen(page, "promptimages")]  # type: ignore[misc]


RED, LIME, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def test_prompt_pictures_are_added_ordered_and_sent(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    requests = sent(page)
    field = page.locator("prompt-box .picture-list")
    choose = field.locator("input")
    choose.set_input_files([picture("a.png", "red"), picture("b.png", "lime")])
    expect(field.locator("li")).to_have_count(2)
    text: FilePayload = {"name": "d.txt", "mimeType": "text/plain", "buffer": b"no"}
    choose.set_input_files([picture("c.png", "blue"), text])
    expect(page.get_by_role("alert")).to_contain_text('"d.txt" is not a picture')
    expect(field.locator("li")).to_have_count(3)
    field.get_by_role("button", name="Picture 3: move before").focus()
    page.keyboard.press("Enter")
    expect(field.get_by_role("button", name="Picture 2: move before")).to_be_focused()
    assert colours(page) == [RED, BLUE, LIME]
    field.get_by_role("button", name="Picture 1: remove").click()
    assert colours(page) == [BLUE, LIME]
    field.locator("li").nth(1).drag_to(field.locator("li").nth(0))
    assert colours(page) == [LIME, BLUE]
    generate(page)
    [request] = requests
    assert request["promptimages"] == chosen(page, "promptimages")
    assert request["prompt"] == PROMPT


def test_a_picture_pasted_into_the_prompt_belongs_to_it(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    page.get_by_label("Prompt", exact=True).evaluate(
        """(box, body) => {
          const transfer = new DataTransfer()
          const bytes = Uint8Array.from(atob(body), (letter) => letter.charCodeAt(0))
          transfer.items.add(new File([bytes], "pasted.png", { type: "image/png" }))
          box.dispatchEvent(new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true, cancelable: true }))
        }""",
        base64.b64encode(picture("pasted.png", "blue")["buffer"]).decode(),
    )
    expect(page.locator("prompt-box .picture-tile")).to_have_count(1)
    assert chosen(page, "initimage") == ""


def open_editor(page: Page, size: tuple[int, int] = (96, 64)) -> None:
    page.locator(".group-fold", has_text="Init Image").first.click()
    page.locator("#param-initimage").set_input_files(picture("init.png", "gray", size))
    page.get_by_role("button", name="Draw the mask").click()
    expect(page.locator("mask-surface canvas")).to_be_focused()


def line(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Draw with the mouse; places are parts of the picture, 0 to 1."""
    box = page.locator("mask-surface canvas").bounding_box()
    assert box is not None

    def at(place: tuple[float, float]) -> tuple[float, float]:
        return box["x"] + place[0] * box["width"], box["y"] + place[1] * box["height"]

    page.mouse.move(*at(start))
    page.mouse.down()
    page.mouse.move(*at(end), steps=4)
    page.mouse.up()


def set_brush(page: Page, size: int) -> None:
    page.get_by_label("Brush size in pixels").fill(str(size))


def mask_of(page: Page) -> Image.Image:
    page.get_by_role("button", name="Use this mask").click()
    expect(page.locator(".mask-editor")).not_to_be_visible()
    return opened(chosen(page, "maskimage")).convert("L")


def test_a_mask_is_drawn_on_the_init_image_and_sent(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    requests = sent(page)
    open_editor(page)
    set_brush(page, 16)
    line(page, (0.25, 0.5), (0.75, 0.5))
    page.keyboard.press("e")
    line(page, (0.5, 0.2), (0.5, 0.8))
    mask = mask_of(page)
    assert mask.size == (96, 64)
    assert {level for _, level in mask.getcolors() or ()} == {0, 255}
    assert [mask.getpixel((x, 32)) for x in (4, 28, 48, 68, 92)] == [0, 255, 0, 255, 0]
    assert mask.getpixel((28, 12)) == 0
    generate(page)
    assert requests[0]["maskimage"] == chosen(page, "maskimage")


def test_steps_are_undone_and_the_mask_is_filled_inverted_and_cleared(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    open_editor(page)
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    expect(undo).to_be_disabled()
    set_brush(page, 20)
    line(page, (0.2, 0.5), (0.3, 0.5))
    page.keyboard.press("i")
    page.keyboard.press("x")
    page.keyboard.press("f")
    page.keyboard.press("Control+z")
    page.keyboard.press("Control+z")
    expect(redo).to_be_enabled()
    inverted = mask_of(page)
    assert [inverted.getpixel((x, 32)) for x in (24, 80)] == [0, 255]
    page.get_by_role("button", name="Change the mask").click()
    expect(undo).to_be_disabled()
    page.keyboard.press("i")
    again = mask_of(page)
    assert [again.getpixel((x, 32)) for x in (24, 80)] == [255, 0]


def test_the_keyboard_alone_draws_a_mask(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    open_editor(page)
    for _ in range(20):
        page.keyboard.press("[")
    page.keyboard.press("Space")
    for _ in range(30):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".mask-editor")).not_to_be_visible()
    mask = opened(chosen(page, "maskimage")).convert("L")
    assert [mask.getpixel((x, 32)) for x in (44, 50, 70)] == [0, 255, 255]


FIRE = """(surface, events) => {
  const canvas = surface.querySelector("canvas")
  surface.setPointerCapture = () => {} // these pointers exist only here
  for (const [type, id, kind, x, y, pressure] of events) {
    const { left, top, width, height } = canvas.getBoundingClientRect()
    canvas.dispatchEvent(new PointerEvent(type, { pointerId: id, pointerType: kind, pressure,
      clientX: left + x * width, clientY: top + y * height, buttons: 1, bubbles: true, cancelable: true }))
  }
}"""


def test_two_fingers_zoom_and_a_pen_presses(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    open_editor(page, (512, 512))
    surface = page.locator("mask-surface")
    before = float(surface.evaluate("surface => surface.scale"))
    down, move, up = "pointerdown", "pointermove", "pointerup"
    first, second = (11, "touch"), (12, "touch")
    surface.evaluate(FIRE, [[down, *first, 0.2, 0.2, 1], [down, *second, 0.4, 0.2, 1], [move, *second, 0.6, 0.2, 1]])
    assert float(surface.evaluate("surface => surface.scale")) == pytest.approx(2 * before)
    surface.evaluate(FIRE, [[up, *first, 0.2, 0.2, 0], [up, *second, 0.5, 0.2, 0]])
    expect(page.get_by_role("button", name="Undo", exact=True)).to_be_disabled()
    page.keyboard.press("0")
    assert float(surface.evaluate("surface => surface.scale")) == pytest.approx(before)
    set_brush(page, 100)
    for pressure, height in ((0.2, 0.25), (1.0, 0.75)):
        pen = (13, "pen")
        surface.evaluate(FIRE, [[down, *pen, 0.3, height, pressure], [move, *pen, 0.7, height, pressure]])
        surface.evaluate(FIRE, [[up, *pen, 0.7, height, 0]])
    mask = mask_of(page)
    light, heavy = (sum(mask.getpixel((256, y)) == 255 for y in rows) for rows in (range(256), range(256, 512)))
    assert abs(light - 20) <= 2
    assert abs(heavy - 100) <= 2


def test_what_was_drawn_is_not_lost_by_accident(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    open_editor(page)
    line(page, (0.4, 0.5), (0.6, 0.5))
    page.keyboard.press("Escape")
    expect(page.get_by_text("Forget what you drew?")).to_be_visible()
    page.locator("confirm-dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".mask-editor")).to_be_visible()
    page.get_by_role("button", name="Cancel", exact=True).click()
    page.get_by_role("button", name="Forget it").click()
    expect(page.locator(".mask-editor")).not_to_be_visible()
    assert chosen(page, "maskimage") == ""


def test_a_finished_picture_is_inpainted_enlarged_and_shown_to_the_model(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    requests = sent(page)
    generate(page)
    stage = page.locator("image-stage")
    more = stage.get_by_role("button", name="More with this picture")
    more.click()
    page.get_by_role("menuitem", name="Copy metadata").click()
    expect(page.get_by_text("The metadata is in the clipboard.")).to_be_visible()
    assert json.loads(page.evaluate("navigator.clipboard.readText()"))["sui_image_params"]["prompt"] == PROMPT
    more.click()
    page.keyboard.press("Escape")
    expect(more).to_be_focused()
    page.keyboard.press("Enter")
    page.get_by_role("menuitem", name="Use as prompt image").click()
    expect(page.locator("prompt-box .picture-tile")).to_have_count(1)
    stage.get_by_role("button", name="Edit: inpaint this picture").click()
    expect(page.locator("mask-surface canvas")).to_be_focused()
    line(page, (0.4, 0.4), (0.6, 0.6))
    assert mask_of(page).size == (512, 512)
    page.get_by_label("Prompt", exact=True).fill("something else")
    more.click()
    page.get_by_role("menuitem", name="Upscale 2×").click()
    expect(page.locator("batch-strip .tile:not(.is-live)")).to_have_count(2, timeout=30_000)
    assert (requests[-1]["width"], requests[-1]["height"], requests[-1]["images"]) == (1024, 1024, 1)
    assert (requests[-1]["prompt"], requests[-1]["initimagecreativity"]) == (PROMPT, 0.4)
    assert requests[-1]["initimage"].startswith("data:image/")
    assert "maskimage" not in requests[-1]
    page.wait_for_function("() => document.querySelector('.stage-picture img').naturalWidth === 1024")
    stage.get_by_role("button", name="Use as init image").click()
    expect(page.locator(".mask-field > .button")).to_have_text("Draw the mask")
    assert chosen(page, "maskimage") == ""


def test_a_field_that_cannot_be_loaded_says_so(live_server: str, open_page: OpenPage) -> None:
    page = open_page(live_server, tolerate="net::ERR_FAILED")
    page.route("**/fields/seed.js*", lambda route: route.abort())
    page.reload()
    expect(page.get_by_text("The field for Seed (integer) could not be loaded.")).to_be_attached()


def test_what_the_server_has_to_say_stands_above_everything(world: World, serve: Serve, open_page: OpenPage) -> None:
    (world.data / "swarm.db").write_bytes(b"this is no database" * 1000)
    page = open_page(serve().base, width=360, height=740)
    expect(page.locator(".notice")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("link", name="API", exact=True).click()
    expect(page.get_by_role("heading", name="Swarm API")).to_be_visible()

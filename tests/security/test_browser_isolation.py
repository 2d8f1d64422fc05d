"""Another site in the browser of somebody who uses this server: it can show, frame, script and register nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, Dialog, Page

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.server import options_for, server_in_thread

pytestmark = pytest.mark.browser

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "x", "steps": 1, "width": 64, "height": 64, "images": 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Base URL of a server, and the address of a picture on it. Its outputs hold pages with scripts."""
    world = World(tmp_path_factory.mktemp("isolation"))
    world.backends(StepMilliseconds=0)
    write_model(world.models / "Stable-Diffusion" / "tiny.safetensors")
    script = "window.top.name = 'pwned'; self.ran = true; alert(document.cookie)"
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        [picture] = client.generate(**SMALL)["images"]
        own = world.outputs / "local"
        (own / "evil.html").write_text(f"<html><body><p id=p>hello<script>{script}</script></body></html>")
        (own / "evil.svg").write_text(f"<svg xmlns='http://www.w3.org/2000/svg'><script>{script}</script></svg>")
        (own / "evil.xhtml").write_text(f"<html xmlns='http://www.w3.org/1999/xhtml'><script>{script}</script></html>")
        (own / "evil.js").write_text("self.addEventListener('fetch', () => {}); window.stolen = 1")
        yield base, f"{base}/{picture}"


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[str]:
    """Base URL of another site."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = b"<!doctype html><title>evil</title><body></body>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.daemon_threads = True
    thread = threading.Thread(target=site.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://localhost:{site.server_port}"
    site.shutdown()
    site.server_close()
    thread.join()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with ExitStack() as stack:
        context = browser.new_context()
        stack.callback(context.close)
        shown = context.new_page()
        asked: list[str] = []

        def dismiss(dialog: Dialog) -> None:
            asked.append(dialog.message)
            dialog.dismiss()

        shown.on("dialog", dismiss)
        yield shown
        assert asked == []


@pytest.mark.case("T47")
def test_the_page_cannot_be_framed_or_held_on_to(page: Page, server: tuple[str, str], elsewhere: str) -> None:
    base, _ = server
    page.goto(elsewhere)
    page.evaluate(
        "url => new Promise((done) => { const frame = document.createElement('iframe'); frame.onload = done;"
        " frame.src = url; document.body.append(frame); setTimeout(done, 3000) })",
        f"{base}/Text2Image",
    )
    framed = [frame for frame in page.frames if frame is not page.main_frame]
    assert all(frame.query_selector("prompt-box, main, generate-bar") is None for frame in framed)
    with page.context.expect_page() as opened:
        page.evaluate("url => { window.held = window.open(url) }", f"{base}/Text2Image")
    opened.value.wait_for_load_state()
    assert page.evaluate("window.held.closed || window.held === null")
    assert opened.value.evaluate("window.opener === null")


@pytest.mark.case("T48")
def test_another_site_shows_and_loads_nothing(page: Page, server: tuple[str, str], elsewhere: str) -> None:
    base, picture = server
    page.goto(elsewhere)
    load = (
        "([tag, url]) => new Promise((done) => { const one = document.createElement(tag);"
        " one.onload = one.oncanplay = () => done('loaded'); one.onerror = () => done('refused');"
        " one[tag === 'link' ? 'href' : 'src'] = url; one.rel = 'stylesheet'; document.body.append(one) })"
    )
    things = [("img", picture), ("img", f"{picture}?preview=true"), ("script", f"{base}/API/GetNewSession")]
    things += [("script", f"{base}/View/local/evil.js"), ("script", f"{base}/js/main.js"), ("video", picture)]
    things += [("img", f"{base}/ViewSpecial/Stable-Diffusion/tiny"), ("link", f"{base}/css/base.css")]
    for tag, url in things:
        assert page.evaluate(load, [tag, url]) == "refused", url
    assert page.evaluate("window.stolen") is None
    call = (
        "([url, mode, kind]) => fetch(url, {method: 'POST', mode, credentials: 'include', body: '{}',"
        " headers: {'Content-Type': kind}}).then((answer) => answer.type + answer.status, () => 'refused')"
    )
    for mode, kind in (("cors", "application/json"), ("cors", "text/plain")):
        assert page.evaluate(call, [f"{base}/API/GetNewSession", mode, kind]) == "refused"
    socket = (
        "url => new Promise((done) => { const line = new WebSocket(url); line.onopen = () => done('open');"
        " line.onerror = () => done('refused') })"
    )
    assert page.evaluate(socket, base.replace("http", "ws", 1) + "/API/GenerateText2ImageWS") == "refused"


@pytest.mark.case("T49")
def test_what_users_store_becomes_no_service_worker(page: Page, server: tuple[str, str]) -> None:
    base, _ = server
    page.goto(f"{base}/Text2Image")
    register = (
        "([url, scope]) => navigator.serviceWorker.register(url, {scope}).then(() => 'registered', () => 'refused')"
    )
    for scope in ("/View/local/", "/"):
        assert page.evaluate(register, [f"{base}/View/local/evil.js", scope]) == "refused"
    assert page.evaluate("navigator.serviceWorker.getRegistrations().then((all) => all.length)") == 0


@pytest.mark.case("T50")
@pytest.mark.parametrize("name", ["evil.html", "evil.svg", "evil.xhtml"])
def test_a_stored_page_runs_nothing(page: Page, server: tuple[str, str], name: str) -> None:
    base, _ = server
    page.goto(f"{base}/Text2Image")
    answer = page.request.get(f"{base}/View/local/{name}")
    assert answer.ok
    if answer.headers.get("content-disposition") == "attachment":
        return
    page.goto(f"{base}/View/local/{name}")
    assert page.evaluate("[window.ran === undefined, window.name, window.origin]") == [True, "", "null"]

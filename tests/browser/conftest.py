"""Chromium, and a page that tells on itself: console errors and requests to other origins fail the test."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from swarm.starter import SHIPPED
from tests.conftest import Serve, World

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
IN_MEMORY = ("data", "blob")
PATIENCE_MILLISECONDS = 15_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser per module: its event loop must not be running when other modules start theirs."""
    executable = next((found for name in NAMES if (found := shutil.which(name))), None)
    if executable is None:
        pytest.skip("There is no Chromium on this machine.")
    with sync_playwright() as playwright:
        expect.set_options(timeout=PATIENCE_MILLISECONDS)
        started = playwright.chromium.launch(executable_path=executable, args=[*FLAGS])
        yield started
        started.close()


class Witness:
    """What a page did that it should not have done."""

    def __init__(self, page: Page, base: str, tolerate: str | None) -> None:
        self._origin = urlsplit(base).netloc
        self._tolerated = tolerate
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("request", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        is_expected = self._tolerated is not None and self._tolerated in message.text
        if message.type in ("error", "warning") and not is_expected:
            self.complaints.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if url.scheme not in IN_MEMORY and url.netloc != self._origin:
            self.complaints.append(f"request to another origin: {request.url}")


OpenPage = Callable[..., Page]


@pytest.fixture(autouse=True)
def only_the_tiny_model(world: World) -> None:
    """The shipped model counts as placed before, so that the lists hold what the test put there."""
    (world.data / "starter-placed.txt").write_text("\n".join(SHIPPED), encoding="utf-8")


@pytest.fixture
def slow_server(world: World, serve: Serve) -> str:
    """Base URL of a server whose fake backend takes its time, so that there is something to watch."""
    world.backends(StepMilliseconds=40)
    return serve().base


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Open the main page of a server: `open_page(base, width=, height=, dark=, tolerate=, is_ready=)`.

    `tolerate`: part of console messages that the test provokes. `is_ready`: wait until pictures can be made."""
    with ExitStack() as stack:
        witnesses: list[Witness] = []

        def show(
            base: str,
            *,
            width: int = 1440,
            height: int = 900,
            dark: bool = False,
            tolerate: str | None = None,
            is_ready: bool = True,
        ) -> Page:
            context: BrowserContext = browser.new_context(
                viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
            )
            stack.callback(context.close)
            page = context.new_page()
            witnesses.append(Witness(page, base, tolerate))
            page.goto(f"{base}/Text2Image")
            page.wait_for_selector("param-field", state="attached")
            if is_ready:
                page.wait_for_selector("[data-act=generate]:enabled")
            return page

        yield show
        complaints = [each for witness in witnesses for each in witness.complaints]
        assert complaints == []

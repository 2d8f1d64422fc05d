"""Videos on the page: listed with a moving picture, played on the stage and in the viewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.sync_api import expect

from swarm.media.clip import Clip
from swarm.media.video import encode_clip
from tests.browser.conftest import OpenPage
from tests.conftest import Serve, World

pytestmark = pytest.mark.browser

PLAYS = "() => document.querySelector('{}').videoWidth === 96 && document.querySelector('{}').currentTime > 0"
METADATA = '{"sui_image_params": {"prompt": "waves at dusk", "model": "tiny", "seed": 5, "steps": 4}}'


def waves() -> Clip:
    """Bands of colour that wander."""
    frames = []
    for number in range(24):
        line = bytes(level for x in range(96) for level in ((x * 5 + number * 10) % 256, 90, 160))
        frames.append(line * 64)
    return Clip(width=96, height=64, fps=12.0, data=b"".join(frames))


def plays(selector: str) -> str:
    return PLAYS.replace("{}", selector)


def test_a_video_is_listed_and_plays(world: World, serve: Serve, open_page: OpenPage, tmp_path: Path) -> None:
    folder = world.outputs / "local" / "raw"
    folder.mkdir(parents=True)
    encoded = encode_clip(waves(), "webm")
    (folder / "waves.webm").write_bytes(encoded.data)
    (folder / "waves.swarm.json").write_text(METADATA, encoding="utf-8")
    for ending, data in encoded.beside.items():
        (folder / f"waves{ending}").write_bytes(data)
    page = open_page(serve().base)
    expect(page.locator("history-browser .thumb")).to_have_count(1)
    page.wait_for_function("() => document.querySelector('.thumb img').naturalWidth === 192")

    page.locator("history-browser .thumb").click()
    page.wait_for_function(plays(".stage-video"))
    expect(page.locator(".stage-picture")).to_be_hidden()
    expect(page.locator(".stage-prompt")).to_have_text("waves at dusk")
    expect(page.get_by_role("button", name="Use as init image")).to_have_count(0)
    if target := os.environ.get("SWARM_SCREENSHOTS"):
        page.screenshot(path=Path(target) / "video.png")
    page.evaluate("document.querySelector('picture-viewer').open()")
    page.wait_for_function(plays(".viewer-video"))
    if target:
        page.screenshot(path=Path(target) / "video-viewer.png")
    page.locator(".viewer").get_by_role("button", name="Close").click()
    expect(page.locator(".viewer-video")).to_be_hidden()

"""Pictures that are none, that are too large, or that unfold into far more than they are."""

from __future__ import annotations

import base64
import gzip
import io
import json
import struct
import time
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from swarm.settings.server import NetworkSettings
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.models import write_model
from tests.support.raw import TEXT, close_code, exchange, frame, head, status_of, until_closed, upgrade
from tests.support.server import ServerProcess, free_port

MEBIBYTE = 2**20
SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 2, "seed": 5, "width": 64, "height": 64}
SECONDS = 6.0
"""On a busy machine; each is refused within a few hundredths of one on an idle one."""


class Studio:
    """A server of its own, its folder, and a client."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.backends(StepMilliseconds=0)
        write_model(self.world.models / "Stable-Diffusion" / "tiny.safetensors")
        self.server = ServerProcess(folder, free_port(), log=folder / "log")
        self.server.wait_until_up()
        self.client = SwarmClient(self.server.base)
        assert "images" in self.client.generate(**SMALL)
        self.process = psutil.Process(self.server.child.pid)


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    made = Studio(tmp_path_factory.mktemp("media"))
    try:
        yield made
        assert "Traceback" not in (made.world.folder / "log").read_text("utf-8", errors="replace")
    finally:
        made.client.http.close()
        made.server.stop()


def url(data: bytes, mime: str = "image/png") -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, depth: int = 1, colour: int = 0, more: bytes = b"", pixels: bool = True) -> bytes:
    """A PNG of zeros, written without anybody having the pixels in memory."""
    packer, rows = zlib.compressobj(9), b""
    if pixels:
        row = b"\0" * (1 + (width * depth * (3 if colour == 2 else 1) + 7) // 8)
        rows = b"".join([*(packer.compress(row) for _ in range(height)), packer.flush()])
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, "JPEG")
    return buffer.getvalue()


def riff(width: int, height: int) -> bytes:
    """A WebP that says it has this canvas."""
    size = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\x10\0\0\0" + size + b"VP8 " + struct.pack("<I", 4) + b"\0" * 4
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif(frames: int, side: int = 4) -> bytes:
    one = b"\x21\xf9\x04\x00\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return (
        b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
        + (one + b"\x02\x03\x84\x11\x05\x00") * frames + b"\x3b"
    )  # fmt: skip


@cache
def bombs() -> dict[str, bytes]:
    unfolded = zlib.compress(b" " * 64 * MEBIBYTE, 9)
    ifd = b"II*\0\x08\0\0\0" + struct.pack("<H", 65535) + b"\x0f\x01\x02\x00\xff\xff\xff\x7f\x08\0\0\0" * 2000
    loop = b"II*\0\x08\0\0\0" + struct.pack("<H", 1) + struct.pack("<HHII", 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    return {
        "144 megapixels": png(12_000, 12_000),
        "400 megapixels": png(20_000, 20_000),
        "more pixels than numbers": png(2**31 - 1, 2**31 - 1, pixels=False),
        "a line": png(2**31 - 1, 1, pixels=False),
        "no size": png(0, 0, pixels=False),
        "16-bit colours": png(9000, 9000, depth=16, colour=2, pixels=False),
        "webp 16383": riff(16383, 16383),
        "webp beyond": riff(2**24, 2**24),
        "jpeg 65500": jpeg().replace(b"\x00\x40\x00\x40", struct.pack(">HH", 65500, 65500)),
        "a text that unfolds": png(64, 64, more=chunk(b"zTXt", b"parameters\0\0" + unfolded)),
        "many texts that unfold": png(64, 64, more=chunk(b"zTXt", b"parameters\0\0" + unfolded[:40_000]) * 50),
        "an international text": png(64, 64, more=chunk(b"iTXt", b"parameters\0\1\0\0\0" + unfolded)),
        "a colour profile that unfolds": png(64, 64, more=chunk(b"iCCP", b"x\0\0" + unfolded)),
        "EXIF with many entries": png(64, 64, more=chunk(b"eXIf", ifd)),
        "EXIF in a circle": png(64, 64, more=chunk(b"eXIf", loop)),
        "a chunk longer than the file": png(64, 64, more=struct.pack(">I", 2**31 - 1) + b"tEXt" + b"x" * 100),
        "more data than pixels": png(16, 16).replace(chunk(b"IDAT", b""), b"") + b"x" * MEBIBYTE,
        "data that unfolds": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", unfolded) + chunk(b"IEND", b""),
        "ten thousand frames": gif(10_000),
        "a frame larger than its picture": gif(3).replace(b"\4\0\4\0\0", b"\xff\xff\xff\xff\0"),
        "an animation of a million frames": png(64, 64, more=chunk(b"acTL", struct.pack(">II", 10**6, 0))),
        "nothing but a beginning": b"\x89PNG\r\n\x1a\n",
        "cut in the middle": png(64, 64)[:60],
        "jpeg that goes on and on": jpeg()[:-2] + b"\xff\xd8\xff\xe1\xff\xff" * 10_000,
        "tiff": b"II*\0" + b"\x08\0\0\0" + b"\xff" * 1000,
        "bmp": b"BM" + b"\xff" * 1000,
        "avif": b"\0\0\0\x20ftypavif" + b"\xff" * 1000,
    }  # fmt: skip


@pytest.mark.case("I7")
@pytest.mark.parametrize("name", list(bombs()))
def test_pictures_that_unfold_are_refused_or_harmless(studio: Studio, name: str) -> None:
    """As an init image, put into the history, as a preview of a preset, and lying in the output folder."""
    data, client = bombs()[name], studio.client
    if len(data) < 200_000:
        assert Image.MAX_IMAGE_PIXELS, "Pillow's own guard is on where this test runs"
    before = highest = studio.process.memory_info().rss
    raw = studio.world.outputs / "local" / f"{name.replace(' ', '_')}.png"
    raw.write_bytes(data)
    for route, body in [
        ("GenerateText2Image", {"images": 1, **SMALL, "initimage": url(data), "donotsave": True}),
        ("AddImageToHistory", {"image": url(data), **SMALL, "donotsave": True}),
        ("AddNewPreset", {"title": "x", "description": "", "param_map": {}, "is_edit": True,
                          "preview_image": url(data, "image/jpeg")}),
        ("ListImages", {"path": "", "depth": 2}),
        ("ToggleImageStarred", {"path": raw.name}),
    ]:  # fmt: skip
        begun = time.perf_counter()
        answer = client.post(route, **body)
        assert time.perf_counter() - begun < SECONDS, route
        assert answer.get("error_id") != "internal_error" and "went wrong" not in str(answer.get("error")), route
        assert len(str(answer.get("error", ""))) < 1000
        highest = max(highest, studio.process.memory_info().rss)
    for address in (f"/View/local/{raw.name}?preview=true", f"/View/local/{raw.name}"):
        begun = time.perf_counter()
        assert client.http.get(address).status_code in (200, 404)
        assert time.perf_counter() - begun < SECONDS
    assert highest - before < 400 * MEBIBYTE
    raw.unlink()


TOO_LARGE = [
    "144 megapixels",
    "400 megapixels",
    "more pixels than numbers",
    "webp 16383",
    "jpeg 65500",
    "16-bit colours",
]


@pytest.mark.case("I7")
@pytest.mark.parametrize("name", TOO_LARGE)
def test_what_is_too_large_is_refused_by_its_size(studio: Studio, name: str) -> None:
    answer = studio.client.generate(**SMALL, initimage=url(bombs()[name]))
    assert "megapixels can be opened" in answer["error"] or "damaged" in answer["error"]
    assert "67 megapixels" in answer["error"] or name == "more pixels than numbers"


@pytest.mark.case("I7")
def test_a_deflated_body_is_no_way_in(studio: Studio) -> None:
    packed = gzip.compress(b" " * 50 * MEBIBYTE + b"{}")
    kind = "Content-Type: application/json"
    for coding in ("gzip", "deflate", "br", "zstd"):
        start = head(
            "POST", "/API/GetNewSession", kind, f"Content-Encoding: {coding}", f"Content-Length: {len(packed)}"
        )
        answer = exchange(studio.server.base, start + packed, timeout=1)
        assert status_of(answer) == 400 and b"internal_error" in answer
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"
    with upgrade(studio.server.base, "/API/GenerateText2ImageWS", offer) as line:
        line.sendall(frame(TEXT, packed, reserved=4))
        assert close_code(until_closed(line)) == 1002


NO_URLS = {
    "nothing": "data:image/png;base64,",
    "no comma": "data:image/png;base64",
    "wrong padding": "data:image/png;base64,iVBORw0KGgo=====",
    "one letter": "data:image/png;base64,i",
    "no base64 at all": "data:image/png;base64,!!!!!!!!!!!!!!!!",
    "percent": "data:image/png,%89PNG%0D%0A%1A%0A",
    "a page": url(b"<html><script>alert(1)</script></html>", "text/html"),
    "a drawing": url(b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
    "a drawing that says it is a picture": url(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png"),
    "a page that begins as a picture": url(b"\x89PNG\r\n\x1a\n<script>alert(1)</script>"),
    "a pickle": url(b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94."),
    "a program": url(b"MZ\x90\x00" + b"\0" * 200),
    "a PDF": url(b"%PDF-1.7 /JavaScript", "application/pdf"),
    "PostScript": url(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9999999 9999999\n"),
    "a URL within a URL": "data:image/png;base64,data:image/png;base64," + "A" * 100,
    "a URL in base64": url(url(png(64, 64)).encode()),
    "a file": "file:///etc/passwd",
    "somebody's server": "http://127.0.0.1:1/x.png",
    "a path": "../../etc/passwd",
    "a host path": "/etc/passwd",
    "blanks": " " * 1000,
    "many commas": "data:" + "," * 100_000,
    "many options": "data:image/png" + ";a=b" * 100_000 + ";base64,AAAA",
    "letters of other scripts": "data:image/png;base64,\uff21\uff22\uff23\uff24" * 10,
}

PICTURE = url(png(64, 64))


@pytest.mark.case("I6")
@pytest.mark.parametrize("text", NO_URLS.values(), ids=NO_URLS)
def test_data_urls_that_hold_no_picture(studio: Studio, text: str) -> None:
    stored = set(studio.world.outputs.rglob("*"))
    for route, body in [
        ("GenerateText2Image", {"images": 1, **SMALL, "initimage": text, "donotsave": True}),
        ("GenerateText2Image", {"images": 1, **SMALL, "maskimage": text, "initimage": PICTURE, "donotsave": True}),
        ("GenerateText2Image", {"images": 1, **SMALL, "promptimages": text, "donotsave": True}),
        ("AddImageToHistory", {"image": text, **SMALL}),
        ("AddNewPreset", {"title": "y", "description": "", "param_map": {}, "is_edit": True, "preview_image": text}),
    ]:  # fmt: skip
        begun = time.perf_counter()
        answer = studio.client.post(route, **body)
        assert time.perf_counter() - begun < SECONDS
        ignored = (route == "GenerateText2Image" and not text.partition(",")[2].strip()) or not text.strip()
        assert ignored or "error" in answer or "preset_fail" in answer, route
        assert "root:" not in json.dumps(answer) and len(str(answer.get("error", ""))) < 1000
        assert answer.get("error_id") != "internal_error", route
    assert set(studio.world.outputs.rglob("*")) == stored


@pytest.mark.case("I6")
def test_a_large_data_url_is_measured_before_it_is_read(studio: Studio) -> None:
    """Just below the size that a request may have; the data is no picture, and so never more than its text."""
    size = NetworkSettings().max_request_bytes // 10
    before = studio.process.memory_info().rss
    for text in ("data:image/png;base64," + "A" * size, "data:image/png;base64," + "iVBORw0KGgoA" + "A" * size):
        begun = time.perf_counter()
        assert "error" in studio.client.generate(**SMALL, initimage=text)
        assert time.perf_counter() - begun < 2 * SECONDS
    assert studio.process.memory_info().rss - before < 200 * MEBIBYTE
    over = NetworkSettings().max_request_bytes + 1
    start = head("POST", "/API/AddImageToHistory", "Content-Type: application/json", f"Content-Length: {over}")
    assert status_of(exchange(studio.server.base, start + b'{"image": "data:', timeout=1)) == 400

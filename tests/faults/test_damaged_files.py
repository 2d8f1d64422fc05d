"""Damaged models and pictures in the lists: they are there, they say what is wrong, and they can be deleted."""

from __future__ import annotations

import io
import json
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from tests.conftest import Serve, World
from tests.faults.ledger import check, check_files

SMALL: dict[str, Any] = {"prompt": "a cat", "steps": 1, "width": 64, "height": 64}


def safetensors(header: bytes, size: int = 8, length: int | None = None) -> bytes:
    return (len(header) if length is None else length).to_bytes(8, "little") + header + bytes(size)


def tensors(**entries: Any) -> bytes:
    return json.dumps(entries).encode()


def damaged_models() -> dict[str, bytes]:
    """What can be seen in a header. Tensors that lie about their size are found by the engine: see test_engine."""
    plain = {"dtype": "F16", "shape": [2, 2], "data_offsets": [0, 8]}
    return {
        "empty": b"",
        "page": b"<!DOCTYPE html><html><body>Log in</body></html>",
        "cut": safetensors(tensors(a=plain), 3),
        "cut-in-header": safetensors(tensors(a=plain))[:20],
        "endless-header": safetensors(b"{}", length=2**63),
        "huge-header": safetensors(b"{}", length=200 * 2**20),
        "backwards": safetensors(tensors(a={**plain, "data_offsets": [8, 0]})),
        "no-type": safetensors(tensors(a={**plain, "dtype": 16})),
        "no-json": safetensors(b"{'a': 1}"),
        "list": safetensors(b"[1, 2]"),
    }


@pytest.mark.case("F11")
def test_damaged_models_are_listed_with_a_reason_and_refused_at_once(world: World, serve: Serve) -> None:
    models = damaged_models()
    for name, data in models.items():
        (world.models / "Stable-Diffusion" / f"{name}.safetensors").write_bytes(data)
    client = serve()
    listed = {one["name"]: one for one in client.post("ListModels", path="", depth=3)["files"]}
    assert listed["tiny.safetensors"]["is_supported_model_format"] is True
    for name in models:
        one = listed[f"{name}.safetensors"]
        assert one["is_supported_model_format"] is False, name
        assert name in one["description"] and one["description"].endswith("."), one["description"]
        began = time.monotonic()
        answer = client.generate(model=name, **SMALL)
        assert time.monotonic() - began < 1, name
        assert name in answer["error"] and str(world.folder) not in answer["error"]
    assert "images" in client.generate(model="tiny", **SMALL)
    check(world, client.base, swept=False)


def png(width: int = 8, height: int = 8) -> bytes:
    data = io.BytesIO()
    Image.new("RGB", (width, height)).save(data, "PNG")
    return data.getvalue()


def bomb() -> bytes:
    """A PNG of a few kilobytes that says it is 50,000 pixels wide and high."""
    parts = [b"\x89PNG\r\n\x1a\n"]
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100_000))), (b"IEND", b"")):
        parts.append(struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)))
    return b"".join(parts)


def with_long_text() -> bytes:
    """A PNG whose compressed text unpacks to a quarter of a gigabyte."""
    texts = PngImagePlugin.PngInfo()
    texts.add_text("parameters", "x" * (32 * 2**20), zip=True)
    data = io.BytesIO()
    Image.new("RGB", (8, 8)).save(data, "PNG", pnginfo=texts)
    return data.getvalue()


def damaged_pictures() -> dict[str, bytes]:
    good = png()
    jpeg = io.BytesIO()
    Image.new("RGB", (64, 64)).save(jpeg, "JPEG")
    webp = io.BytesIO()
    Image.new("RGB", (64, 64)).save(webp, "WEBP")
    wrong_sum = bytearray(good)
    wrong_sum[29] ^= 0xFF
    return {
        "empty.png": b"",
        "cut.png": good[: len(good) // 2],
        "wrong-sum.png": bytes(wrong_sum),
        "bomb.png": bomb(),
        "long-text.png": with_long_text(),
        "text.png": b"this is a text",
        "cut.jpg": jpeg.getvalue()[:200],
        "cut.webp": webp.getvalue()[:20],
        "really-a-png.jpg": good,
        "no-movie.mp4": b"\x00\x00\x00\x18ftypmp42" + bytes(50),
    }


@pytest.mark.case("F12")
def test_damaged_pictures_are_listed_shown_and_deleted(world: World, serve: Serve) -> None:
    folder: Path = world.outputs / "local" / "raw"
    folder.mkdir(parents=True)
    pictures = damaged_pictures()
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    client = serve()
    assert "images" in client.generate(model="tiny", **SMALL)
    for sort in ("Date", "Name"):
        listed = client.post("ListImages", path="", depth=9, sortBy=sort)["files"]
        assert {one["src"].rpartition("/")[2] for one in listed} > set(pictures) - {"empty.png"}, sort
        assert len(listed) == len(pictures), "a file without a single byte is not listed"
    for name, data in pictures.items():
        answer = client.http.get(f"/View/local/raw/{name}")
        assert (answer.status_code, answer.content) == (200, data)
        assert client.http.get(f"/View/local/raw/{name}?preview=true").status_code == 200
        assert client.post("DeleteImage", path=f"raw/{name}") == {"success": True}
    assert len(client.post("ListImages", path="", depth=9)["files"]) == 1
    check_files(world, swept=False)

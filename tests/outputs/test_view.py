"""Files over GET, through the front door."""

from __future__ import annotations

import http.client
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from PIL import Image

from swarm.media.embedded import png_with_text, read_metadata
from swarm.web.ranges import parse_range
from tests.conftest import World
from tests.outputs.test_paths import ATTACKS
from tests.support.client import SwarmClient

BAD_PATH = {
    "error": "Unacceptable path. If you are the server owner, check program console log.",
    "error_id": "bad_path",
}
NOT_FOUND = {"error": "404, file not found.", "error_id": "file_not_found"}
UNAUTHORIZED = {"error": "unauthorized - you may not view other users' outputs", "error_id": "unauthorized"}


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (512, 300), (10, 200, 30)).save(buffer, "PNG")
    return png_with_text(buffer.getvalue(), '{"a": 1}')


@pytest.fixture
def outputs(world: World) -> Path:
    folder = world.outputs / "local" / "raw"
    folder.mkdir(parents=True)
    (folder / "a cat.png").write_bytes(picture())
    (folder / "digits.mp4").write_bytes(b"0123456789")
    (world.outputs / "local" / "page.html").write_text("<script>alert(1)</script>")
    (world.outputs / "local" / ".secret.png").write_bytes(b"secret")
    (world.folder / "secret.txt").write_text("secret")
    (world.outputs / "local2").mkdir()
    (world.outputs / "local2" / "secret.png").write_bytes(b"secret")
    return folder


NONE: Mapping[str, str] = {}


def fetch(
    base: str, target: str, method: str = "GET", headers: Mapping[str, str] = NONE
) -> tuple[int, dict[str, str], bytes]:
    """The target exactly as written: no client normalises it."""
    connection = http.client.HTTPConnection(urlsplit(base).netloc, timeout=20)
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def as_json(body: bytes) -> Any:
    return json.loads(body)


def test_a_picture_is_served_whole(outputs: Path, client: SwarmClient) -> None:
    for target in ("/View/local/raw/a%20cat.png", "/View/local/raw/a%2520cat.png?x=1", "/Output/raw/a%20cat.png"):
        status, headers, body = fetch(client.base, target)
        assert (status, body) == (200, (outputs / "a cat.png").read_bytes())
        assert headers["content-type"] == "image/png"
        assert headers["content-length"] == str(len(body))
        assert headers["accept-ranges"] == "bytes"
        assert headers["cache-control"] == "private, max-age=30"
        assert headers["content-security-policy"].startswith("sandbox;")
        assert "content-disposition" not in headers


@pytest.mark.parametrize(
    ("name", "kind", "seconds", "attached"),
    [
        ("x.jpg", "image/jpeg", 30, False),
        ("x.webp", "image/webp", 30, False),
        ("x.mp3", "audio/mpeg", 30, False),
        ("x.txt", "text/plain", 2, False),
        ("x.html", "text/html", 2, False),
        ("x.json", "application/json", 2, False),
        ("x.svg", "image/svg+xml", 30, True),
        ("x.js", "application/javascript", 2, True),
        ("x.PNG", "application/octet-stream", 2, True),
        ("x", "application/octet-stream", 2, True),
    ],
)
def test_content_types(outputs: Path, client: SwarmClient, name: str, kind: str, seconds: int, attached: bool) -> None:
    (outputs / name).write_bytes(b"x")
    status, headers, _ = fetch(client.base, f"/View/local/raw/{name}")
    assert (status, headers["content-type"]) == (200, kind)
    assert headers["cache-control"] == f"private, max-age={seconds}"
    assert ("content-disposition" in headers) == attached
    assert headers["content-security-policy"].startswith("sandbox;")
    assert "allow-scripts" not in headers["content-security-policy"]


@pytest.mark.parametrize(
    ("wanted", "status", "body", "span"),
    [
        ("bytes=0-3", 206, b"0123", "bytes 0-3/10"),
        ("bytes=8-", 206, b"89", "bytes 8-9/10"),
        ("bytes=-3", 206, b"789", "bytes 7-9/10"),
        ("bytes=5-999", 206, b"56789", "bytes 5-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=5-2", 416, b"", "bytes */10"),
        ("bytes=0-1,3-4", 416, b"", "bytes */10"),
        ("bytes=" + "0-," * 5000, 416, b"", "bytes */10"),
        ("items=0-1", 200, b"0123456789", None),
    ],
)
def test_ranges(outputs: Path, client: SwarmClient, wanted: str, status: int, body: bytes, span: str | None) -> None:
    found, headers, content = fetch(client.base, "/View/local/raw/digits.mp4", headers={"Range": wanted})
    assert (found, content, headers.get("content-range")) == (status, body, span)
    assert headers["content-length"] == str(len(body))


def test_ranges_are_parsed_within_their_bounds() -> None:
    assert parse_range(None, 0) == (0, 0)
    assert parse_range("bytes=0-0", 0) is None
    assert parse_range("bytes=-0", 10) is None
    assert parse_range("bytes=-", 10) is None
    assert parse_range("bytes=" + "9" * 40 + "-", 10) is None


def test_large_files_come_whole_and_from_the_middle(outputs: Path, client: SwarmClient) -> None:
    data = os.urandom(3_000_001)
    (outputs / "big.webm").write_bytes(data)
    assert fetch(client.base, "/View/local/raw/big.webm")[2] == data
    assert (
        fetch(client.base, "/View/local/raw/big.webm", headers={"Range": "bytes=1000000-2999999"})[2]
        == data[1_000_000:3_000_000]
    )


def test_previews_are_small_jpegs_with_the_metadata(outputs: Path, client: SwarmClient) -> None:
    for _ in ("made", "remembered"):
        status, headers, body = fetch(client.base, "/View/local/raw/a%20cat.png?preview=true")
        assert (status, headers["content-type"], headers["cache-control"]) == (200, "image/jpg", "private, max-age=30")
        with Image.open(io.BytesIO(body)) as image:
            assert image.format == "JPEG" and min(image.size) == 256
        assert read_metadata(io.BytesIO(body)) == '{"a": 1}'
    assert fetch(client.base, "/View/local/raw/digits.mp4?preview=true")[2] == b"0123456789"
    assert fetch(client.base, "/View/local/raw/a%20cat.png?preview=True")[1]["content-type"] == "image/png"
    assert fetch(client.base, "/View/local/raw/none.png?preview=true")[0] == 404


def test_animated_previews_move_unless_asked_not_to(outputs: Path, client: SwarmClient) -> None:
    frames = [Image.new("RGB", (300, 300), (90 * n, 0, 0)) for n in range(3)]
    frames[0].save(outputs / "move.gif", save_all=True, append_images=frames[1:], duration=200)
    assert fetch(client.base, "/View/local/raw/move.gif?preview=true")[1]["content-type"] == "image/webp"
    assert fetch(client.base, "/View/local/raw/move.gif?preview=true&noanim=true")[1]["content-type"] == "image/jpg"


@pytest.mark.parametrize("prefix", ["/View/local/", "/View/", "/View/local/raw/", "/Output/"])
def test_no_address_leads_out_of_the_folder(outputs: Path, client: SwarmClient, prefix: str) -> None:
    for attack in ATTACKS:
        for target in _spellings(prefix, attack):
            status, headers, body = fetch(client.base, target)
            assert b"secret" not in body.replace(b"secret.txt", b""), target
            assert status in (302, 400, 404, 500), target
            assert headers.get("location", "/Error/404") == "/Error/404"
            assert str(outputs.parent).encode() not in body and b"Traceback" not in body


def _spellings(prefix: str, attack: str) -> list[str]:
    text = attack.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    once = quote(text, safe="")
    targets = [prefix + once + tail for tail in ("secret.txt", "", once + "secret.txt")]
    plain = quote(text, safe="/.%:;\\~")
    return [*targets, prefix + quote(once, safe="") + "secret.txt", prefix + plain + "secret.txt"]


@pytest.mark.parametrize(
    ("target", "status", "answer"),
    [
        ("/View/local/raw/none.png", 404, NOT_FOUND),
        ("/View/local/raw/a%20cat.png/x", 404, NOT_FOUND),
        ("/View/local/.secret.png", 404, NOT_FOUND),
        ("/View/local/raw/" + "x" * 300, 404, NOT_FOUND),
        ("/View/local/con.png", 400, BAD_PATH),
        (
            "/view/local/raw/a%20cat.png",
            400,
            {"error": "view output path prefix does not make sense", "error_id": "bad_path"},
        ),
        ("/View", 400, {"error": "view output path prefix does not make sense", "error_id": "bad_path"}),
        (
            "/OUTPUT/raw/a%20cat.png",
            400,
            {"error": "view output path prefix does not make sense", "error_id": "bad_path"},
        ),
    ],
)
def test_errors_are_json(outputs: Path, client: SwarmClient, target: str, status: int, answer: dict[str, str]) -> None:
    found, headers, body = fetch(client.base, target)
    assert (found, as_json(body)) == (status, answer)
    assert headers["content-type"] == "application/json" and headers["cache-control"] == "no-store"


def test_a_folder_is_a_read_error(outputs: Path, client: SwarmClient) -> None:
    for target in ("/View/local/raw", "/View/local", "/View/local/"):
        status, _, body = fetch(client.base, target)
        assert status == 500 and as_json(body)["error_id"] == "file_error"


def test_links_out_of_the_folder_are_not_followed(outputs: Path, client: SwarmClient, world: World) -> None:
    (outputs / "out.png").symlink_to(world.folder / "secret.txt")
    (outputs / "away").symlink_to(world.folder)
    for target in (
        "/View/local/raw/out.png",
        "/View/local/raw/away/secret.txt",
        "/View/local/raw/out.png?preview=true",
    ):
        status, _, body = fetch(client.base, target)
        assert (status, as_json(body)) == (400, BAD_PATH)


def test_only_get_is_answered(outputs: Path, client: SwarmClient) -> None:
    for method in ("HEAD", "POST", "PUT", "DELETE"):
        status, headers, _ = fetch(client.base, "/View/local/raw/digits.mp4", method, {"Content-Length": "0"})
        assert (status, headers["allow"]) == (405, "GET")


def test_each_user_has_a_folder(outputs: Path, client: SwarmClient) -> None:
    assert fetch(client.base, "/Output/secret.png", headers={"X-SWARM-USER_ID": "local2"})[2] == b"secret"
    assert fetch(client.base, "/Output/secret.png")[0] == 404
    # In open mode everyone is the owner, who may see the pictures of all.
    assert fetch(client.base, "/View/local2/secret.png")[2] == b"secret"


class TestRoutes:
    """The same files through the API."""

    def test_list_star_and_delete(self, outputs: Path, client: SwarmClient) -> None:
        path = "raw/a cat.png"
        listed = client.post("ListImages", path="raw", depth=1)
        assert listed == {
            "folders": [],
            "files": [{"src": "digits.mp4", "metadata": None}, {"src": "a cat.png", "metadata": '{"a": 1}'}],
        }
        assert client.post("ToggleImageStarred", path=path) == {"new_state": True}
        starred = client.post("ListImages", path="", depth=4, sortBy="date", sortReverse=True)
        assert "Starred/raw/a cat.png" in [file["src"] for file in starred["files"]]
        assert client.post("ToggleImageStarred", path=path) == {"new_state": False}
        assert client.post("DeleteImage", path=path) == {"success": True}
        assert client.post("DeleteImage", path=path) == {"error": "That file does not exist, cannot delete."}
        assert client.post("ToggleImageStarred", path=path) == {"error": "That file does not exist, cannot star."}
        assert not (outputs / "a cat.png").exists()

    def test_bad_lists_are_sentences(self, client: SwarmClient) -> None:
        assert client.post("ListImages", path="", depth=1, sortBy="Size") == {"error": "Invalid sort mode 'Size'."}
        assert client.post("ListImages", path="", depth="x")["error"].startswith(
            "Invalid value 'x' for parameter 'depth'"
        )
        assert client.post("ListImages", path="")["error"] == "Missing required parameter 'depth'"
        assert client.post("ListImages", path="nowhere", depth=3) == {"folders": [], "files": []}

    def test_no_path_reaches_out_of_the_folder(self, outputs: Path, client: SwarmClient, world: World) -> None:
        before = sorted(world.outputs.rglob("*"))
        texts = [attack.encode("utf-8", "replace").decode() for attack in ATTACKS]
        for path in (
            path for t in texts for path in (t + "secret.txt", t * 3 + "secret.txt", f"Starred/{t}secret.txt", t)
        ):
            for route in ("DeleteImage", "ToggleImageStarred"):
                answer = client.post(route, path=path)
                assert answer["error"].startswith(("That file does not exist, cannot", "Unacceptable path.")), answer
            listed = client.post("ListImages", path=path, depth=3)
            assert "secret" not in json.dumps(listed)
        assert (world.folder / "secret.txt").read_text() == "secret"
        assert sorted(world.outputs.rglob("*")) == before

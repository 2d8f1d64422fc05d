"""A generated picture fetched back: whole, in part, small, and what is said when it is missing (swarm-core 8.4)."""

from __future__ import annotations

import http.client
import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from PIL import Image

from swarm.media.embedded import read_metadata
from swarm.settings.file import save_settings
from swarm.settings.server import NetworkSettings, PathSettings, ServerSettings
from swarm.settings.user import UserSettings
from tests.conftest import Serve, World
from tests.support.client import SwarmClient
from tests.support.models import write_model

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 512, "height": 320}
NOT_FOUND = {"error": "404, file not found.", "error_id": "file_not_found"}
NO_SENSE = {"error": "view output path prefix does not make sense", "error_id": "bad_path"}
UNREADABLE = {
    "error": "Error reading file. If you are the server owner, check program console log.",
    "error_id": "file_error",
}


def get(client: SwarmClient, target: str) -> tuple[int, str, bytes]:
    """Status, content type and body of a target sent exactly as written."""
    connection = http.client.HTTPConnection(urlsplit(client.base).netloc, timeout=20)
    connection.putrequest("GET", target, skip_accept_encoding=True)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.getheader("content-type") or "", body


def test_an_announced_picture_is_there_with_its_headers(client: SwarmClient) -> None:
    (url,) = client.generate(**SMALL)["images"]
    assert url.startswith("View/local/raw/") and url.endswith(".png")
    whole = client.http.get(f"/{url}")
    assert (whole.status_code, whole.headers["content-type"]) == (200, "image/png")
    assert whole.headers["cache-control"] == "private, max-age=30"
    assert whole.headers["accept-ranges"] == "bytes"
    assert int(whole.headers["content-length"]) == len(whole.content)
    assert "sandbox" in whole.headers["content-security-policy"]
    assert client.http.get(f"/{url}?v=12&anything").content == whole.content
    old = client.http.get("/Output/" + url.removeprefix("View/local/"))
    assert (old.status_code, old.content) == (200, whole.content)


@pytest.mark.parametrize("wanted", ["bytes=0-9", "bytes=10-", "bytes=-10", "bytes=5-999999999"])
def test_a_part_of_a_picture(client: SwarmClient, wanted: str) -> None:
    (url,) = client.generate(**SMALL)["images"]
    data = client.http.get(f"/{url}").content
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start = int(first) if first else len(data) - int(last)
    end = min(int(last) + 1 if first and last else len(data), len(data))
    part = client.http.get(f"/{url}", headers={"Range": wanted})
    assert (part.status_code, part.content) == (206, data[start:end])
    assert part.headers["content-range"] == f"bytes {start}-{end - 1}/{len(data)}"
    beyond = client.http.get(f"/{url}", headers={"Range": f"bytes={len(data)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(data)}")


def test_a_preview_is_a_small_jpeg_that_carries_the_metadata(client: SwarmClient) -> None:
    (url,) = client.generate(**SMALL)["images"]
    small = client.http.get(f"/{url}?preview=true")
    assert (small.status_code, small.headers["content-type"]) == (200, "image/jpg")
    assert small.headers["cache-control"] == "private, max-age=30"
    with Image.open(io.BytesIO(small.content)) as picture:
        assert (picture.format, min(picture.size)) == ("JPEG", 256)
    text = read_metadata(io.BytesIO(small.content))
    assert text is not None and json.loads(text)["sui_image_params"]["seed"] == 5
    for other in ("preview=True", "preview=1", "preview"):
        assert client.http.get(f"/{url}?{other}").headers["content-type"] == "image/png"


def test_without_previews_in_the_settings_the_whole_picture_comes(world: World, serve: Serve) -> None:
    user = UserSettings(image_history_use_previews=False)
    network = replace(NetworkSettings(), output_cache_seconds=77)
    save_settings(ServerSettings(default_user=user, network=network), world.data / "Settings.fds")
    client = serve()
    (url,) = client.generate(**SMALL)["images"]
    answer = client.http.get(f"/{url}?preview=true")
    assert (answer.headers["content-type"], answer.headers["cache-control"]) == ("image/png", "private, max-age=77")


def test_texts_are_kept_for_two_seconds_only(world: World, client: SwarmClient) -> None:
    (url,) = client.generate(**SMALL)["images"]
    (world.outputs / "local" / "note.txt").write_text("hello")
    for target, kind in [("note.txt", "text/plain"), (url.removeprefix("View/local/"), "image/png")]:
        answer = client.http.get(f"/View/local/{quote(target)}")
        assert answer.headers["content-type"] == kind
        brief = kind.startswith("text/")
        assert answer.headers["cache-control"] == f"private, max-age={2 if brief else 30}"


@pytest.mark.parametrize(
    ("target", "status", "expected"),
    [
        ("/View/local/none.png", 404, NOT_FOUND),
        ("/View/local/" + "a" * 5000, 404, NOT_FOUND),
        ("/View/local/raw/" + "b" * 300 + ".png", 404, NOT_FOUND),
        ("/View/local/" + "c/" * 2000, 404, NOT_FOUND),
        ("/View/local/" + quote("ß" * 200) + ".png", 404, NOT_FOUND),
        ("/View/local/a%0Ab", 404, NOT_FOUND),
        ("/View/a%0Ab", 404, NOT_FOUND),
        ("/View/local/a%00b", 404, NOT_FOUND),
        ("/View/local/%FF%FE", 404, NOT_FOUND),
        ("/View/", 404, NOT_FOUND),
        ("/Output/none.png?preview=true", 404, NOT_FOUND),
        ("/View", 400, NO_SENSE),
        ("/view/local/none.png", 400, NO_SENSE),
        ("/OUTPUT/none.png", 400, NO_SENSE),
        ("/View/local/f", 500, UNREADABLE),
        ("/ViewSpecial/Stable-Diffusion/none", 404, NOT_FOUND),
        ("/ViewSpecial/stable-diffusion/tiny", 404, NOT_FOUND),
        ("/ViewSpecial/Wildcards/none", 404, NOT_FOUND),
        ("/ViewSpecial/Preset/none", 404, NOT_FOUND),
        ("/ViewSpecial/x%0Ay", 404, NOT_FOUND),
        ("/ViewSpecial/Stable-Diffusion/" + "a" * 5000, 404, NOT_FOUND),
        ("/ViewSpecial/", 404, NOT_FOUND),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_what_is_not_there_is_json(
    world: World, client: SwarmClient, target: str, status: int, expected: dict[str, str]
) -> None:
    (world.outputs / "local" / "f").mkdir(parents=True)
    answered, kind, body = get(client, target)
    assert (answered, kind, json.loads(body)) == (status, "application/json", expected)


def test_one_folder_for_all_has_the_older_address(world: World, serve: Serve) -> None:
    paths = PathSettings(append_user_name_to_output_path=False)
    save_settings(ServerSettings(paths=paths), world.data / "Settings.fds")
    client = serve()
    assert client.raw("GetNewSession", {}).json()["output_append_user"] is False
    (url,) = client.generate(**SMALL, overrideoutpathformat="a/b")["images"]
    assert url == "Output/a/b.png"
    assert (world.outputs / "a" / "b.png").is_file()
    assert client.http.get("/Output/a/b.png").status_code == client.http.get("/View/a/b.png").status_code == 200


def test_a_models_picture(world: World, serve: Serve) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20), "blue").save(buffer, "PNG")
    folder = world.models / "Stable-Diffusion" / "my models"
    write_model(folder / "x [1].safetensors")
    (folder / "x [1].png").write_bytes(buffer.getvalue())
    client = serve()
    (model,) = client.post("ListModels", path="my models", depth=1)["files"]
    assert model["preview_image"] == "/ViewSpecial/Stable-Diffusion/my%20models/x%20%5B1%5D.safetensors?editid=0"
    targets = (model["preview_image"], model["preview_image"].replace(".safetensors", ""))
    for target in (*targets, "/viewspecial/Stable-Diffusion//my%20models%5Cx%20%5B1%5D/"):
        status, kind, body = get(client, target)
        assert (status, kind) == (200, "image/jpeg"), target
        assert body.startswith(b"\xff\xd8")
    (inline,) = client.post("ListModels", path="my models", depth=1, dataImages=True)["files"]
    assert inline["preview_image"].startswith("data:image/jpeg;base64,")

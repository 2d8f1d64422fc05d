"""What users send and store: it stays text, becomes the type that it is, and lands where it belongs."""

from __future__ import annotations

import base64
import io
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from PIL import Image

from swarm.base.json import loads
from swarm.base.log_file import LogFile
from swarm.extend.load import load_extensions
from swarm.generation.hook_body import hook_body
from swarm.media.embedded import read_metadata
from swarm.media.image import guess_mime
from swarm.web.static import script_redirect
from tests.conftest import World
from tests.security.corpus import MARKUP, TEMPLATES
from tests.support.accounts import FAR, Owner, accounts_mode
from tests.support.client import SwarmClient
from tests.support.models import SD15_TENSORS, write_model
from tests.support.server import ServerProcess, fake_backends, free_port, options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "steps": 1, "seed": 5, "width": 64, "height": 64}
EXTENSION = 'id = "dropped"\nname = "Dropped"\nversion = "1"\n'


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = World(tmp_path_factory.mktemp("texts"))
    made.backends(StepMilliseconds=0)
    write_model(made.models / "Stable-Diffusion" / "tiny.safetensors")
    page = "data:text/html;base64," + base64.b64encode(b"<script>pwned()</script>").decode()
    write_model(made.models / "Stable-Diffusion" / "page.safetensors", SD15_TENSORS, **{"modelspec.thumbnail": page})
    return made


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[SwarmClient]:
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as made:
        yield made


def encoded(kind: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, kind)
    return file.getvalue()


def url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


PAGES = [
    b"<html><script>pwned()</script>",
    b"<svg xmlns='http://www.w3.org/2000/svg' onload='pwned()'/>",
    b"<?xml version='1.0'?>",
]
PAGES += [b"%PDF-1.7", b"#!/bin/sh\n", b"\x7fELF", b"PK\x03\x04", b"MZ", b"import os\n"]
SENT = [
    (mime, page) for mime in ("image/png", "image/svg+xml", "text/html", "video/mp4", "image/gif") for page in PAGES
]
LYING = [
    (mime, encoded(kind))
    for mime in ("text/html", "image/svg+xml", "video/mp4", "image/gif")
    for kind in ("PNG", "JPEG")
]
SUFFIXES = {"image/png": {".png"}, "image/jpeg": {".jpg", ".jpeg"}, "image/gif": {".gif"}, "image/webp": {".webp"}}


@pytest.mark.case("T12", "T50")
@pytest.mark.parametrize("name", ["x.py", "a.png.html", "evil.so", "x.svg", "plain"])
def test_what_is_added_is_kept_as_what_it_is(client: SwarmClient, world: World, name: str) -> None:
    for mime, data in [*SENT, *LYING, ("image/png", encoded("PNG") + b"<script>pwned()</script>")]:
        client.post("AddImageToHistory", image=url(mime, data), overrideoutpathformat=name, prompt="x")
    kept = [path for path in world.outputs.rglob("*") if path.is_file() and not path.name.startswith(".")]
    for path in kept:
        if ".db" in path.name or path.name.endswith((".swarm.json", ".swarmpreview.jpg", ".swarmpreview.webp")):
            continue
        assert path.suffix in SUFFIXES[guess_mime(path.read_bytes()[:64]) or ""], path.name


@pytest.mark.case("T50")
@pytest.mark.parametrize(
    "suffix",
    ["html", "htm", "svg", "xhtml", "xml", "xsl", "pdf", "js", "mjs", "css", "shtml", "swf", "json", "txt", ""],
)
def test_a_stored_file_is_sandboxed_or_only_saved(client: SwarmClient, world: World, suffix: str) -> None:
    own = world.outputs / "local"
    own.mkdir(exist_ok=True)
    (own / f"evil.{suffix}").write_bytes(b"<script>pwned()</script>")
    answer = client.http.get(f"/View/local/evil.{suffix}")
    policy = answer.headers["content-security-policy"]
    assert answer.status_code == 200 and "sandbox" in policy and "allow-scripts" not in policy
    assert "default-src 'none'" in policy and answer.headers["x-content-type-options"] == "nosniff"
    shown = ("text/html", "text/plain", "application/json")
    if not answer.headers["content-type"].startswith(shown):
        assert answer.headers["content-disposition"] == "attachment"


@pytest.mark.case("T52")
def test_a_picture_of_a_preset_or_model_is_a_picture(client: SwarmClient) -> None:
    for mime, data in [*SENT, *LYING]:
        client.post(
            "AddNewPreset", title="shown", description="", param_map={}, is_edit=True, preview_image=url(mime, data)
        )
        answer = client.http.get("/ViewSpecial/Preset/shown")
        assert answer.status_code == 404, mime
    kept = url("image/jpeg", encoded("PNG"))
    client.post("AddNewPreset", title="shown", description="", param_map={}, is_edit=True, preview_image=kept)
    shown = client.http.get("/ViewSpecial/Preset/shown")
    assert shown.headers["content-type"] == "image/jpeg" and guess_mime(shown.content) == "image/jpeg"
    assert client.http.get("/ViewSpecial/Stable-Diffusion/page").status_code == 404


@pytest.mark.case("T24")
@pytest.mark.parametrize("text", TEMPLATES)
def test_templates_stay_text(client: SwarmClient, world: World, text: str) -> None:
    [picture] = client.generate(**SMALL, prompt=text, images=1)["images"]
    told = json.loads(read_metadata(io.BytesIO(client.http.get(f"/{picture}").content)) or "")
    assert told["sui_image_params"]["prompt"] == text
    preset = client.post("AddNewPreset", title="t", description=text, param_map={"prompt": text}, is_edit=True)
    assert preset == {"success": True}
    [kept] = [each for each in client.post("GetMyUserData")["presets"] if each["title"] == "t"]
    assert (kept["description"], kept["param_map"]["prompt"]) == (text, text)
    before = set(world.outputs.rglob("*"))
    answer = client.generate(**SMALL, prompt="x", images=1, overrideoutpathformat=f"t/{text}")
    fresh = {path.name for path in set(world.outputs.rglob("*")) - before}
    assert "images" in answer and not {"49.png", "49"} & fresh


@pytest.mark.case("T24")
@pytest.mark.parametrize("text", [*TEMPLATES, *MARKUP, '","admin":true,"x":"', "%image%", "\\", '"'])
def test_a_hooks_data_holds_what_was_said_and_no_more(text: str) -> None:
    filled = hook_body('{"content": "%prompt%", "same": 1}', {"prompt": text, "image": "secret"})
    assert loads(filled.data) == {"content": text, "same": 1}


@pytest.mark.case("T14", "T28")
def test_no_name_reaches_settings_extensions_or_pages(client: SwarmClient, world: World) -> None:
    aims = ("Settings.fds", "Roles.fds", "Backends.fds", "swarm.db", "Languages/xx.json", "Autocompletions/x.txt")
    outside = ("extensions/dropped/extension.toml", "static/index.html", "swarm/app.py")
    before = {path: path.read_bytes() for path in world.data.rglob("*.fds")}
    for up in ("../", "../../", "../../../", "..\\", "/", str(world.data) + "/"):
        for aim in (*aims, *(f"../{each}" for each in outside)):
            client.post("EditWildcard", card=up + aim, options="x")
            client.post("RenameModel", oldName="page", newName=up + aim, subtype="Stable-Diffusion")
            client.post("AddImageToHistory", image=url("image/png", encoded("PNG")), overrideoutpathformat=up + aim)
            list(client.stream("DoModelDownloadWS", url="https://huggingface.co:1/x", type="VAE", name=up + aim))
            for entry in client.post("ListModels", path="", depth=9)["files"]:
                if entry["name"] != "tiny.safetensors":
                    client.post("RenameModel", oldName=entry["name"], newName="page", subtype="Stable-Diffusion")
    assert {path: path.read_bytes() for path in world.data.rglob("*.fds")} == before
    assert not (world.data / "Languages").exists() or not list((world.data / "Languages").iterdir())
    assert not list(world.folder.rglob("extension.toml")) and not list(world.folder.rglob("index.html"))
    roots = [world.models, world.outputs, world.data / "Wildcards"]
    own = [world.data / "Settings.fds", Path(__file__).parents[2] / "extensions", Path(__file__).parents[2] / "static"]
    assert not any(place.is_relative_to(root) for place in own for root in roots)


@pytest.mark.case("T28")
def test_an_extension_among_models_and_pictures_is_not_loaded(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.backends(StepMilliseconds=0)
    canary = tmp_path / "ran"
    for place in (
        world.models / "dropped",
        world.outputs / "local" / "dropped",
        world.data / "dropped",
        tmp_path / "dropped",
    ):
        place.mkdir(parents=True)
        (place / "extension.toml").write_text(EXTENSION)
        (place / "thing.py").write_text(f"open({str(canary)!r}, 'w')\n")
    with server_in_thread(options_for(tmp_path, extensions_dir=tmp_path / "ext")) as base, SwarmClient(base) as client:
        assert client.post("UninstallExtension", extensionName="dropped") == {"error": "Unknown extension."}
    assert not canary.exists() and load_extensions(tmp_path / "ext") == []


@pytest.mark.case("T29")
def test_an_owner_far_away_installs_nothing(client: SwarmClient) -> None:
    assert client.post("ChangeServerSettings", settings={"extensions.allowinstall": True}) == {"success": True}
    asked = {"session_id": client.session_id, "extensionName": "https://huggingface.co/x.zip"}
    answer = client.raw("InstallExtension", asked, **FAR).json()
    assert "from the machine that the server runs on" in answer["error"]
    client.post("ChangeServerSettings", settings={"extensions.allowinstall": False})


@pytest.mark.case("T26")
def test_only_the_web_port_listens(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.data / "Backends.fds").write_text(fake_backends())
    port = free_port()
    server = ServerProcess(world.folder, port, log=tmp_path / "log")
    try:
        server.wait_until_up()
        family = [psutil.Process(server.child.pid), *psutil.Process(server.child.pid).children(recursive=True)]
        listening = [
            (line.laddr.ip, line.laddr.port)
            for process in family
            for line in process.net_connections("inet")
            if line.status == psutil.CONN_LISTEN or line.type.name == "SOCK_DGRAM"
        ]
        assert listening == [("127.0.0.1", port)]
    finally:
        server.stop()


@pytest.mark.case("T56")
def test_what_an_administrator_writes_is_text_on_the_login_page(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.backends()
    accounts_mode(world.data)
    with server_in_thread(options_for(tmp_path)) as base, Owner(base) as owner:
        for text in MARKUP:
            names = ("instancetitle", "loginnotice", "registration.registernotice")
            changed = owner.post("ChangeServerSettings", settings={f"userauthorization.{name}": text for name in names})
            assert changed == {"success": True}
            page = owner.http.get("/Login", headers=FAR)
            assert page.text.count("<script") == 2 and "script-src 'self'" in page.headers["content-security-policy"]
            assert "<" not in text or text not in page.text
            assert not re.search(r"<[^>]*\son\w+\s*=", page.text)


@pytest.mark.case("T57")
@pytest.mark.parametrize("text", [*MARKUP, "</script>", "\u2028", "\u2029", "<!--<script>"])
def test_no_text_ends_the_script_it_is_in(text: str) -> None:
    page = bytes(script_redirect(text).body).decode()
    script = page.partition("<script>")[2].partition("</script>")[0]
    assert json.loads(script.removeprefix("window.location.replace(").removesuffix(")")) == text
    assert not {"<", ">", "\u2028", "\u2029"} & set(script)


@pytest.mark.case("T58")
@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2+3", "\t=1"])
def test_exports_are_no_tables(client: SwarmClient, world: World, text: str) -> None:
    """Presets are exported as JSON, in which nothing takes a text for a formula; tables are only handed out to save."""
    client.post("AddNewPreset", title="sum", description=text, param_map={"prompt": text}, is_edit=True)
    answer = client.raw("ExportUserPresets", {"session_id": client.session_id, "titles": ["sum"]})
    assert (
        answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"
    )
    assert answer.json()["presets"][0]["description"] == text
    (world.outputs / "local").mkdir(exist_ok=True)
    (world.outputs / "local" / "prompts.csv").write_text(text)
    table = client.http.get("/View/local/prompts.csv")
    assert table.headers["content-type"] == "application/octet-stream"
    assert table.headers["content-disposition"] == "attachment"


@pytest.mark.case("T54")
@pytest.mark.parametrize("text", MARKUP)
def test_an_error_that_repeats_what_was_sent_is_json(client: SwarmClient, text: str) -> None:
    for answer in (
        client.raw("ListImages", {"session_id": client.session_id, "path": "", "depth": text}),
        client.raw("GenerateText2Image", {"session_id": client.session_id, "images": 1, "model": text}),
    ):
        assert (
            answer.headers["content-type"] == "application/json"
            and answer.headers["x-content-type-options"] == "nosniff"
        )
        assert "error" in answer.json()
    for path in ("/Error/404", "/nowhere"):
        answer = client.http.get(path, params={"x": text}, follow_redirects=True)
        assert text not in answer.text


@pytest.mark.case("T54")
def test_the_log_on_disk_keeps_one_line_and_moves_no_cursor(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "log.txt", "info")
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("A name: %s", "\x1b[2J\x1b]0;pwned\x07\r\n12:00:00.000 [Info] all is well\x00")
    handler.close()
    text = (tmp_path / "log.txt").read_text()
    assert text.count("\n") == 1 and not {"\x1b", "\r", "\x00"} & set(text)

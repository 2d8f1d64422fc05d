"""Extensions over the wire (swarm-core 6.7), and pictures shown in the file manager (swarm-t2i 7.5)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.server import options_for, server_in_thread


@pytest.fixture
def extensions(tmp_path: Path) -> Path:
    home = tmp_path / "ext" / "shiny"
    home.mkdir(parents=True)
    (home / "extension.toml").write_text('id = "shiny"\nname = "Shiny"\nversion = "1"\n')
    return home.parent


@pytest.fixture
def owner(world: World, extensions: Path) -> Iterator[SwarmClient]:
    """A client of a server with extensions of its own."""
    with ExitStack() as stack:
        base = stack.enter_context(server_in_thread(options_for(world.folder, extensions_dir=extensions)))
        yield stack.enter_context(SwarmClient(base))


def test_switching_off_and_removing(owner: SwarmClient, extensions: Path, world: World) -> None:
    assert owner.post("SetExtensionEnabled", extensionName="Shiny", enabled=False) == {"success": True}
    again = owner.post("SetExtensionEnabled", extensionName="Shiny", enabled=False)
    assert again == {"error": "Extension is already disabled."}
    assert owner.post("UpdateExtension", extensionName="shiny") == {"success": False}
    assert owner.post("UninstallExtension", extensionName="shiny") == {"success": True}
    assert list(extensions.iterdir()) == [] and len(list((world.data / "Trash").rglob("extension.toml"))) == 1
    for route in ("UninstallExtension", "UpdateExtension"):
        assert owner.post(route, extensionName="shiny") == {"error": "Unknown extension."}


@pytest.mark.case("T29")
def test_installing_is_switched_off_until_the_owner_wants_it(owner: SwarmClient, extensions: Path) -> None:
    assert owner.post("InstallExtension", extensionName="Grid Maker") == {"error": "Unknown extension."}
    refused = owner.post("InstallExtension", extensionName="https://github.com/someone/something")
    assert "Installing extensions is switched off" in refused["error"]
    assert owner.post("ChangeServerSettings", settings={"extensions.allowinstall": True}) == {"success": True}
    inside = owner.post("InstallExtension", extensionName="https://127.0.0.1/x.zip")
    assert inside["error_id"] == "blocked_address"
    assert [path.name for path in extensions.iterdir()] == ["shiny"]


def test_a_folder_is_only_opened_for_a_picture_that_is_there(
    client: SwarmClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    missing = {"error": "That file does not exist, cannot open."}
    assert client.post("OpenImageFolder", path="raw/none.png") == missing
    assert "error" in client.post("OpenImageFolder", path="../../etc/passwd")
    client.generate(model="tiny", prompt="a cat", steps=1, width=64, height=64)
    (file,) = client.post("ListImages", path="", depth=5)["files"]
    assert client.post("OpenImageFolder", path=file["src"]) == {"error": "Cannot open image folder on this OS."}

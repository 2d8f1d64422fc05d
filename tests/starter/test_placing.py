"""The shipped files are put where models live, once ever."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.starter import SHIPPED, place_starter
from tests.support.client import SwarmClient
from tests.support.server import options_for, server_in_thread


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    folder = tmp_path / "shipped"
    folder.mkdir()
    for name in SHIPPED:
        (folder / name).write_bytes(name.encode())
    return folder


def test_each_file_is_placed_once_and_stays_deleted(shipped: Path, tmp_path: Path) -> None:
    models, marker = tmp_path / "Models", tmp_path / "Data" / "placed.txt"
    assert len(place_starter(shipped, models, marker)) == len(SHIPPED)
    for name, place in SHIPPED.items():
        assert (models / place).read_bytes() == name.encode()
    (models / SHIPPED["postcards.safetensors"]).unlink()
    assert place_starter(shipped, models, marker) == []
    assert not (models / SHIPPED["postcards.safetensors"]).exists()


def test_a_file_of_the_users_own_is_never_overwritten(shipped: Path, tmp_path: Path) -> None:
    models = tmp_path / "Models"
    mine = models / SHIPPED["postcards.safetensors"]
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    place_starter(shipped, models, tmp_path / "placed.txt")
    assert mine.read_bytes() == b"mine"


def test_a_checkout_without_the_shipped_files_starts_all_the_same(tmp_path: Path) -> None:
    assert place_starter(tmp_path / "nothing", tmp_path / "Models", tmp_path / "placed.txt") == []


def test_a_first_start_lists_the_starter_model_with_its_preview(tmp_path: Path) -> None:
    data = tmp_path / "Data"
    data.mkdir()
    (data / "Backends.fds").write_text("", encoding="utf-8")
    with server_in_thread(options_for(tmp_path)) as base, SwarmClient(base) as client:
        (model,) = client.post("ListModels", path="", depth=3)["files"]
        assert (model["name"], model["title"]) == ("Swarm/postcards.safetensors", "Postcards")
        assert (model["architecture"], model["resolution"]) == ("stable-diffusion-v1", "256x256")
        picture = client.http.get(model["preview_image"])
        assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
        assert client.post("DeleteModel", modelName=model["name"]) == {"success": True}
        assert client.post("ListModels", path="", depth=3)["files"] == []
    with server_in_thread(options_for(tmp_path)) as base, SwarmClient(base) as client:
        assert client.post("ListModels", path="", depth=3)["files"] == []

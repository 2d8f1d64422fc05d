"""Folders of model sets that somebody chose (swarm-models-backends 1.1)."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.base.database import Database
from swarm.catalog.catalog import Catalog
from swarm.catalog.sets import SETS, sets_with


def folders(**chosen: str) -> dict[str, tuple[str, ...]]:
    return {one.id: one.folders for one in sets_with(chosen)}


def test_nothing_chosen_is_what_it_always_was() -> None:
    assert sets_with({}) == SETS == sets_with({"VAE": " ; ", "Unknown": "x"})


def test_several_folders_are_separated_by_semicolons() -> None:
    assert folders(LoRA="loras; Lora/old ;")["LoRA"] == ("loras", "Lora/old")


def test_checkpoints_keep_the_folders_that_say_what_is_in_them() -> None:
    chosen = sets_with({"Stable-Diffusion": "checkpoints;unet"})[0].folders
    assert chosen == ("checkpoints", "unet", "tensorrt", "diffusion_models")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/Lora/x.safetensors", "x.safetensors"),
        ("b/Lora/old/y/x.safetensors", "y/x.safetensors"),
        ("c/y/x.safetensors", "y/x.safetensors"),
        ("nowhere/x.safetensors", "x.safetensors"),
    ],
)
def test_a_file_that_is_gone_is_still_called_as_it_was(tmp_path: Path, path: str, name: str) -> None:
    sets = sets_with({"LoRA": f"Lora;Lora/old;{tmp_path / 'c'}"})
    database = Database(tmp_path / "c.db", durable=False)
    catalog = Catalog([tmp_path / "a", tmp_path / "b"], {}, database, lambda: 1.0, sets, home=3)
    assert catalog.name_of(tmp_path / path) == name
    assert catalog.roots == (tmp_path / "a", tmp_path / "b", tmp_path / "c")
    assert catalog.download_folder("LoRA") == tmp_path / "b" / "Lora"
    database.close()

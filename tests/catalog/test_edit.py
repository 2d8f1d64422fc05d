from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.architectures import families
from swarm.architectures.architecture import Architecture
from swarm.base.database import Database
from swarm.base.errors import BadInput, NotFound
from swarm.base.registry import collect
from swarm.catalog.catalog import Catalog
from swarm.catalog.edit import ModelEdit, ModelEditor
from swarm.catalog.model import ModelEntry
from swarm.catalog.trash import Trash
from tests.support.models import SD15_TENSORS, write_model

ARCHITECTURES = collect(families, Architecture)
SD = "Stable-Diffusion"
CHANGE = ModelEdit(
    title="New Title",
    author="me",
    type="",
    description="what it is",
    width=640,
    height=512,
    usage_hint="",
    date="2024",
    license="MIT",
    trigger_phrase="",
    prediction_type="",
    tags=("a", "b"),
    preview=None,
    is_negative_embedding=True,
    lora_default_weight="0.5",
    lora_default_confinement="",
)


class Shelf:
    """A catalog with an editor, on a folder."""

    def __init__(self, root: Path) -> None:
        self.folder = root / "Models" / SD
        self.trash = Trash(root / "Data" / "Trash", lambda: 1_700_000_000.0)
        self.catalog = Catalog([root / "Models"], ARCHITECTURES, Database(root / "c.db", durable=False), lambda: 1.0)
        self.editor = ModelEditor(self.catalog, self.trash)

    def entry(self, name: str) -> ModelEntry:
        found = self.catalog.find(SD, name)
        assert found is not None
        return found


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path)
    write_model(
        made.folder / "sub" / "a.safetensors",
        SD15_TENSORS,
        **{"modelspec.title": "Old", "modelspec.tags": "old", "modelspec.prediction_type": "v", "title": "Bare"},
    )
    (made.folder / "sub" / "a.jpg").write_bytes(b"picture")
    write_model(made.folder / "b.safetensors")
    made.catalog.refresh()
    return made


def test_an_edit_is_written_beside_the_file_and_acts_at_once(shelf: Shelf) -> None:
    before = (shelf.folder / "sub" / "a.safetensors").read_bytes()
    shelf.editor.edit(SD, "sub/a.safetensors", CHANGE)
    entry = shelf.entry("sub/a")
    info = entry.info
    assert (info.title, info.author, info.description) == ("New Title", "me", "what it is")
    assert (entry.width, entry.height, info.tags) == (640, 512, ("a", "b"))
    assert (info.trigger_phrase, info.license, info.date) == ("", "MIT", "2024")
    assert (info.is_negative_embedding, info.lora_default_weight) == (True, "0.5")
    assert entry.architecture is not None
    assert entry.architecture.id == "stable-diffusion-v1"
    assert (shelf.folder / "sub" / "a.safetensors").read_bytes() == before
    assert shelf.editor.edit_id == 1


def test_blank_fields_clear_what_the_file_says(shelf: Shelf) -> None:
    shelf.editor.edit(SD, "sub/a.safetensors", replace(CHANGE, tags=(), prediction_type="", width=0))
    info = shelf.entry("sub/a").info
    assert (info.tags, info.prediction_type) == (None, None)
    assert (info.width, info.height) == (512, 512)


def test_a_class_can_be_said_and_other_programs_keys_stay(shelf: Shelf) -> None:
    (shelf.folder / "b.swarm.json").write_text('{"theirs": 1, "modelspec.title": "x"}')
    shelf.editor.edit(SD, "b.safetensors", replace(CHANGE, type="stable-diffusion-xl-v1-base"))
    architecture = shelf.entry("b").architecture
    assert architecture is not None
    assert architecture.id == "stable-diffusion-xl-v1-base"
    assert json.loads((shelf.folder / "b.swarm.json").read_text())["theirs"] == 1


def test_a_preview_can_be_set(shelf: Shelf) -> None:
    shelf.editor.edit(SD, "b.safetensors", replace(CHANGE, preview="data:image/jpeg;base64,AAAA"))
    preview = shelf.catalog.preview(shelf.entry("b"))
    assert preview is not None
    assert preview.data == bytes(3)
    (shelf.folder / "b.png").write_bytes(b"another")
    shelf.editor.edit(SD, "b.safetensors", replace(CHANGE, preview=""))
    assert shelf.entry("b").preview_file is None
    assert len(shelf.trash.ids()) == 1
    assert shelf.catalog.preview(shelf.entry("b")) is None


def test_edits_and_headers_want_the_whole_name(shelf: Shelf) -> None:
    for name in ("b", "sub/../b.safetensors", "../b.safetensors", ""):
        with pytest.raises(NotFound):
            shelf.editor.edit(SD, name, CHANGE)
        with pytest.raises(NotFound):
            shelf.editor.headers(SD, name)
    headers = shelf.editor.headers(SD, "sub/a.safetensors")
    assert headers["__metadata__"]["modelspec.title"] == "Old"  # type: ignore[index, call-overload]
    assert set(SD15_TENSORS) < set(headers)


def test_renaming_takes_everything_along(shelf: Shelf) -> None:
    shelf.editor.edit(SD, "sub/a.safetensors", CHANGE)
    shelf.editor.rename(SD, "sub/a", "new folder/my model.safetensors")
    assert shelf.catalog.names(SD) == ["b.safetensors", "new_folder/my_model.safetensors"]
    assert shelf.entry("new_folder/my_model").title == "New Title"
    assert sorted(path.name for path in (shelf.folder / "new_folder").iterdir()) == [
        "my_model.jpg",
        "my_model.safetensors",
        "my_model.swarm.json",
    ]
    assert not (shelf.folder / "sub").exists()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("", "not valid"), ("../..", "not valid"), ("b", "already taken"), ("B.safetensors", "already taken")],
)
def test_names_that_cannot_be_are_refused(shelf: Shelf, name: str, sentence: str) -> None:
    with pytest.raises(BadInput, match=sentence):
        shelf.editor.rename(SD, "sub/a", name)
    assert shelf.catalog.names(SD) == ["b.safetensors", "sub/a.safetensors"]


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..\\..\\evil", "a/../../../evil", "C:/evil"])
def test_renamed_models_stay_in_their_folder(shelf: Shelf, name: str) -> None:
    shelf.editor.rename(SD, "b", name)
    assert len(list(shelf.folder.rglob("*.safetensors"))) == 2


def test_renaming_never_leads_through_a_link(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (shelf.folder / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(BadInput):
        shelf.editor.rename(SD, "b", "link/b")
    assert not list((tmp_path / "outside").iterdir())


def test_deleting_goes_to_the_trash_and_back(shelf: Shelf) -> None:
    shelf.editor.edit(SD, "sub/a.safetensors", CHANGE)
    id = shelf.editor.delete(SD, "sub/a")
    assert shelf.catalog.names(SD) == ["b.safetensors"]
    assert not (shelf.folder / "sub").exists()
    assert shelf.trash.ids() == [id]
    shelf.trash.restore(id)
    shelf.catalog.refresh()
    assert shelf.entry("sub/a").title == "New Title"
    assert (shelf.folder / "sub" / "a.jpg").read_bytes() == b"picture"
    with pytest.raises(NotFound):
        shelf.editor.delete(SD, "../sub/a")


def test_nothing_is_restored_over_another_file(shelf: Shelf) -> None:
    id = shelf.editor.delete(SD, "b")
    write_model(shelf.folder / "b.safetensors")
    with pytest.raises(BadInput, match="another file"):
        shelf.trash.restore(id)
    assert shelf.trash.ids() == [id]


def test_files_that_another_model_may_own_stay(shelf: Shelf) -> None:
    write_model(shelf.folder / "sub" / "a.sft")
    shelf.catalog.refresh()
    shelf.editor.delete(SD, "sub/a.safetensors")
    assert sorted(path.name for path in (shelf.folder / "sub").iterdir()) == ["a.jpg", "a.sft"]

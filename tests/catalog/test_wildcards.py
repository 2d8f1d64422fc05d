from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from swarm.base.errors import BadInput, NotFound
from swarm.catalog.trash import Trash
from swarm.catalog.wildcards import WildcardStore


def store_of(root: Path) -> WildcardStore:
    made = WildcardStore(root / "Wildcards", Trash(root / "Trash", lambda: 1_700_000_000.0))
    made.refresh()
    return made


def picture() -> bytes:
    out = BytesIO()
    Image.new("RGB", (600, 400), "red").save(out, "PNG")
    return out.getvalue()


def test_the_first_refresh_makes_the_folder(tmp_path: Path) -> None:
    assert store_of(tmp_path).names() == []
    assert (tmp_path / "Wildcards").is_dir()


def test_lists_are_files_and_options_are_lines(tmp_path: Path) -> None:
    folder = tmp_path / "Wildcards" / "colors"
    folder.mkdir(parents=True)
    (folder / "Warm.txt").write_bytes(b"\xef\xbb\xbfred # the best\r\n\r\n  orange\\nish  \r\n# only words\r\nyellow")
    (folder / ".hidden.txt").write_text("x")
    (folder / "notes.md").write_text("x")
    store = store_of(tmp_path)
    assert store.names() == ["colors/Warm"]
    assert store.find("colors/warm") == ("colors/Warm", ("red", "orange\nish", "yellow"))
    assert store.find("warm") is not None
    assert store.find("") is None
    assert store.find("cold") is None
    found = store.get("COLORS/WARM")
    assert found is not None
    assert found.raw.startswith("red # the best\n\n")


def test_a_refresh_reads_changed_files_again(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.edit("a", "one")
    assert store.find("a") == ("a", ("one",))
    (tmp_path / "Wildcards" / "a.txt").write_text("two")
    assert store.find("a") == ("a", ("one",))
    store.refresh()
    assert store.find("a") == ("a", ("two",))


def test_editing_keeps_the_name_that_is_there_in_any_case(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.edit("Folder/Animals", "cat")
    store.edit("folder/animals", "dog")
    assert store.names() == ["Folder/Animals"]
    assert store.find("animals") == ("Folder/Animals", ("dog",))
    assert store.edit_id == 2


def test_previews_are_made_small_and_cleared(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    store.edit("a", "x", picture=picture())
    [entry] = store.entries()
    preview = store.preview(entry)
    assert preview is not None
    assert Image.open(BytesIO(preview.data)).size == (384, 256)
    with pytest.raises(BadInput):
        store.edit("b", "x", picture=b"no picture")
    assert store.names() == ["a"]
    store.edit("a", "x", clear=True)
    assert store.preview(store.entries()[0]) is None


def test_deleting_can_be_undone(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "Trash", lambda: 1_700_000_000.0)
    store = WildcardStore(tmp_path / "Wildcards", trash)
    store.edit("deep/er/a", "x", picture=picture())
    store.delete("DEEP/er/A")
    assert store.names() == []
    assert not (tmp_path / "Wildcards" / "deep").exists()
    [id] = trash.ids()
    assert len(trash.restore(id)) == 2
    assert trash.ids() == []
    store.refresh()
    assert store.names() == ["deep/er/a"]
    with pytest.raises(NotFound):
        trash.restore("../" + id)
    with pytest.raises(NotFound):
        store.delete("nothing")


@pytest.mark.parametrize(
    "name", ["../evil", "..\\evil", "/etc/evil", "C:\\evil", "a/../../evil", "con", "x\0y", "%2e%2e/e"]
)
def test_every_name_stays_below_the_folder(tmp_path: Path, name: str) -> None:
    store = store_of(tmp_path)
    store.edit(name, "x")
    outside = [path for path in tmp_path.rglob("*.txt") if not path.is_relative_to(tmp_path / "Wildcards")]
    assert not outside
    [path] = (tmp_path / "Wildcards").rglob("*.txt")
    assert path.name not in ("con.txt", ".txt")


@pytest.mark.parametrize("name", ["", " ", "..", "/", "././", "x" * 300])
def test_names_that_are_no_names_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput):
        store_of(tmp_path).edit(name, "x")


def test_links_out_of_the_folder_are_not_lists(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "secret.jpg").write_bytes(picture())
    (tmp_path / "Wildcards").mkdir()
    (tmp_path / "Wildcards" / "evil.txt").symlink_to(tmp_path / "secret.txt")
    (tmp_path / "Wildcards" / "good.txt").write_text("x")
    (tmp_path / "Wildcards" / "good.jpg").symlink_to(tmp_path / "secret.jpg")
    (tmp_path / "Wildcards" / "folder").symlink_to(tmp_path)
    store = store_of(tmp_path)
    assert store.names() == ["good"]
    assert store.preview(store.entries()[0]) is None
    with pytest.raises(BadInput):
        store.edit("folder/new", "x")
    with pytest.raises(BadInput):
        store.edit("evil", "x")
    assert (tmp_path / "secret.txt").read_text() == "secret"


def test_a_trash_that_cannot_take_everything_takes_nothing(tmp_path: Path) -> None:
    trash = Trash(tmp_path / "Trash", lambda: 0.0)
    (tmp_path / "a").write_text("x")
    with pytest.raises(OSError):
        trash.put([tmp_path / "a", tmp_path / "missing"])
    assert (tmp_path / "a").read_text() == "x"
    assert trash.ids() == []

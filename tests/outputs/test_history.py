"""Lists of pictures: order, depth, limits, stars, and metadata from wherever it is."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from swarm.base.database import Database
from swarm.base.errors import BadInput, Refused
from swarm.outputs.history import Listing
from swarm.outputs.index import HistoryIndex
from tests.outputs.support import Shelves, open_shelves


@pytest.fixture
def root(shelves: Shelves, tmp_path: Path) -> Path:
    """Folders `a`, `b`, `b/c`, `b/c/d`, with one picture in each, made 10 seconds apart."""
    for number, folder in enumerate(["", "a/", "b/", "b/c/", "b/c/d/"]):
        saved = shelves.save(f"{folder}p{number}")
        os.utime(saved.path, (1000 + 10 * number, 1000 + 10 * number))
    return tmp_path / "Output/local"


def ask(shelves: Shelves, **options: object) -> dict[str, list[object]]:
    wanted = Listing(**{"user_id": "local", "path": "", "depth": 5, **options})  # type: ignore[arg-type]
    return dict(shelves.history.list(wanted))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "depth", "folders", "files"),
    [
        ("", 0, [], ["p0.png"]),
        ("", 1, ["b", "a"], ["p0.png"]),
        ("", 2, ["b", "a", "b/c"], ["p0.png", "b/p2.png", "a/p1.png"]),
        ("", 3, ["b/c", "b", "a", "b/c/d"], ["p0.png", "b/p2.png", "b/c/p3.png", "a/p1.png"]),
        ("", -3, [], ["p0.png"]),
        ("", 10**9, ["b/c", "b", "a", "b/c/d"], ["p0.png", "b/p2.png", "b/c/p3.png", "b/c/d/p4.png", "a/p1.png"]),
        ("b", 2, ["c", "c/d"], ["p2.png", "c/p3.png"]),
        ("b/", 0, [], ["p2.png"]),
        ("\\b\\c", 0, [], ["p3.png"]),
        ("nowhere", 3, [], []),
        ("../other", 3, [], []),
        ("p0.png", 3, [], []),
    ],
)
def test_depth_and_order(
    shelves: Shelves, root: Path, path: str, depth: int, folders: list[str], files: list[str]
) -> None:
    answer = ask(shelves, path=path, depth=depth)
    assert answer["folders"] == folders
    assert [file["src"] for file in answer["files"]] == files  # type: ignore[index]


def test_order_by_date_and_reversed(shelves: Shelves, root: Path) -> None:
    assert shelves.listed() == ["p0.png", "b/p2.png", "b/c/p3.png", "b/c/d/p4.png", "a/p1.png"]
    assert shelves.listed(reverse=True) == ["a/p1.png", "b/c/d/p4.png", "b/c/p3.png", "b/p2.png", "p0.png"]
    # The index has the times of saving, from before the fixture set others: let it forget.
    with shelves.database.write() as connection:
        connection.execute("DELETE FROM output_files")
        connection.execute("DELETE FROM output_folders")
    newest_first = ["b/c/d/p4.png", "b/c/p3.png", "b/p2.png", "a/p1.png", "p0.png"]
    assert shelves.listed(sort_by="dAtE") == newest_first
    assert shelves.listed(sort_by="Date", reverse=True) == newest_first[::-1]
    assert shelves.listed(sort_by="Date", max_files=2, max_scanned=3) == newest_first[:2]
    assert shelves.listed(max_files=2) == ["p0.png", "b/p2.png"]
    assert ask(shelves, depth=3, reverse=True)["folders"] == ["a", "b", "b/c", "b/c/d"]


def test_an_unknown_order_is_refused(shelves: Shelves) -> None:
    with pytest.raises(BadInput, match=r"^Invalid sort mode 'Size'\.$"):
        ask(shelves, sort_by="Size")


def test_only_known_kinds_of_visible_files_are_listed(shelves: Shelves, root: Path, tmp_path: Path) -> None:
    folder = root / "kinds"
    (folder / ".hidden").mkdir(parents=True)
    shown = ["a.wav", "b.html", "c.JPEG.png", "d.mp4"]
    for name in [
        *shown,
        "x.PNG",
        "x.jpeg",
        "x.txt",
        ".y.png",
        "v.swarmpreview.jpg",
        "v.swarmpreview.webp",
        "png",
        "s.svg",
    ]:
        (folder / name).write_bytes(b"x")
    (folder / ".hidden" / "z.png").write_bytes(b"x")
    (folder / "empty.png").write_bytes(b"")
    (folder / "link.png").symlink_to(tmp_path / "index.db")
    (folder / "linked").symlink_to(tmp_path)
    answer = ask(shelves, path="kinds")
    assert [file["src"] for file in answer["files"]] == shown[::-1]  # type: ignore[index]
    assert answer["folders"] == []
    assert ask(shelves, path=".hidden") == ask(shelves, path="kinds/.hidden") == {"folders": [], "files": []}


def test_names_that_are_not_utf8_do_not_break_the_list(shelves: Shelves, root: Path) -> None:
    (root / os.fsdecode(b"\xff\xfe.png")).write_bytes(b"x")
    (root / "全角　空白.png").write_bytes(b"x")
    assert shelves.listed(depth=0) == ["全角　空白.png", "p0.png"]


def test_metadata_comes_from_the_picture_or_the_file_beside_it(shelves: Shelves) -> None:
    for format in ("PNG", "JPG", "WEBP"):
        shelves.save(f"raw/{format}", f'{{"in": "{format}"}}', format=format)
    big = json.dumps({"in": "x" * 40_000})
    shelves.save("raw/big", big, format="JPG")
    shelves.save("raw/none")
    for _ in ("from what was saved", "from the files"):
        files = {file["src"]: file["metadata"] for file in ask(shelves)["files"]}  # type: ignore[index]
        assert files == {
            "raw/none.png": None,
            "raw/big.jpg": big,
            **{f"raw/{each}.{each.lower()}": f'{{"in": "{each}"}}' for each in ("PNG", "JPG", "WEBP")},
        }
        with shelves.database.write() as connection:
            for table in ("output_files", "output_folders", "output_texts"):
                connection.execute(f"DELETE FROM {table}")


def test_changes_made_by_others_are_seen(shelves: Shelves, root: Path) -> None:
    assert len(shelves.listed()) == 5
    (root / "p0.png").unlink()
    shutil.copy(root / "a/p1.png", root / "a/new.png")
    shutil.rmtree(root / "b/c")
    (root / "a/p1.swarm.json").write_text('{"beside": 1}')
    answer = ask(shelves)
    assert {file["src"]: file["metadata"] for file in answer["files"]} == {  # type: ignore[index]
        "b/p2.png": None,
        "a/p1.png": '{"beside": 1}',
        "a/new.png": None,
    }
    (root / "a/p1.swarm.json").write_text('{"beside": 22}')
    shelves.save("b/c/d/again")
    answer = ask(shelves)
    assert answer["folders"] == ["b/c", "b", "a", "b/c/d"]
    assert '{"beside": 22}' in [file["metadata"] for file in answer["files"]]  # type: ignore[index]
    shutil.rmtree(root)
    assert shelves.listed() == []


def test_a_folder_that_changes_within_a_clock_tick_is_looked_at_again(tmp_path: Path) -> None:
    shelves = open_shelves(tmp_path, now=0)
    root = tmp_path / "Output/local"
    root.mkdir(parents=True)
    for number in range(20):
        (root / f"{number:02}.png").write_bytes(b"x")
        os.utime(root, (1000, 1000))
        assert len(shelves.listed()) == number + 1
    shelves.database.close()


@pytest.mark.parametrize(
    "damage",
    [b"", b"x", b"\x89PNG\r\n\x1a\n\xff\xff\xff\xff", b"\xff\xd8\xff\xe1\xff\xff", b"RIFF\xff\xff\xff\xffWEBPEXIF\xff"],
)
def test_damaged_files_do_not_stop_the_list(shelves: Shelves, root: Path, damage: bytes) -> None:
    (root / "damaged.png").write_bytes(damage)
    assert shelves.listed(depth=0) == (["p0.png", "damaged.png"] if damage else ["p0.png"])


def test_a_starred_picture_says_so_and_its_copy_stands_for_both(shelves: Shelves) -> None:
    shelves.save("raw/x", '{"a": "\\u00e9"}')
    shelves.save("raw/y")
    shelves.stars.toggle("local", "raw/x.png")
    shelves.stars.toggle("local", "raw/y.png")
    assert shelves.listed() == ["Starred/raw/y.png", "Starred/raw/x.png"]
    answer = ask(shelves, path="raw")
    assert [file["src"] for file in answer["files"]] == ["y.png", "x.png"]  # type: ignore[index]
    assert answer["files"][0]["metadata"] == '{ "is_starred": true }'  # type: ignore[index]
    starred = answer["files"][1]["metadata"]  # type: ignore[index]
    assert json.loads(starred) == {"a": "é", "is_starred": True} and "\\u00e9" in starred
    assert ask(shelves, path="Starred/raw")["files"] == answer["files"]


def test_starring_and_back(shelves: Shelves, tmp_path: Path) -> None:
    root = tmp_path / "Output/local"
    saved = shelves.save("raw/x", "y" * 40_000, format="JPG")
    assert shelves.stars.toggle("local", "\\raw\\x.jpg/") is True
    copy = root / "Starred/raw/x.jpg"
    assert copy.read_bytes() == saved.path.read_bytes()
    assert copy.with_name("x.swarm.json").read_text() == "y" * 40_000
    assert shelves.stars.toggle("local", "Starred/raw/x.jpg") is False
    assert not any((root / "Starred/raw").iterdir()) and saved.path.exists()


def test_a_star_outlives_its_original_and_can_be_turned_back_into_it(shelves: Shelves, tmp_path: Path) -> None:
    root = tmp_path / "Output/local"
    saved = shelves.save("raw/x", "y" * 40_000, format="JPG")
    shelves.stars.toggle("local", saved.relative)
    shelves.store.delete("local", saved.relative)
    assert (root / "Starred/raw/x.jpg").exists()
    with pytest.raises(Exception, match=r"^That file does not exist, cannot star\.$"):
        shelves.stars.toggle("local", "raw/x.jpg")
    assert shelves.stars.toggle("local", "Starred/raw/x.jpg") is False
    assert saved.path.exists() and saved.path.with_name("x.swarm.json").exists()
    assert not any((root / "Starred/raw").iterdir())


def test_stars_without_folders(shelves: Shelves, tmp_path: Path) -> None:
    shelves.save("raw/x")
    assert shelves.stars.toggle("local", "raw/x.png", flat=True) is True
    assert (tmp_path / "Output/local/Starred/rawx.png").exists()
    assert shelves.listed(flat_stars=True) == ["Starred/rawx.png"]
    assert shelves.stars.toggle("local", "raw/x.png", flat=True) is False


@pytest.mark.parametrize(
    "path", ["", "Starred", "Starred/", "raw", "nothing.png", ".x/y.png", "../../etc/passwd", "con"]
)
def test_only_existing_files_can_be_starred(shelves: Shelves, path: str) -> None:
    shelves.save("raw/x")
    with pytest.raises(Exception, match=r"cannot star\.$|^Unacceptable path"):
        shelves.stars.toggle("local", path)


def test_previews_are_made_once_and_again_when_the_picture_changes(shelves: Shelves) -> None:
    saved = shelves.save("x", '{"a": 1}')
    previews = shelves.history.previews
    assert previews.find(saved.path, moving=True) is None
    made = previews.make(saved.path, '{"a": 1}', moving=True)
    assert made is not None and made.mime == "image/jpg" and made.data[:3] == b"\xff\xd8\xff"
    assert previews.find(saved.path, moving=True) == made
    assert previews.find(saved.path, moving=False) is None
    os.utime(saved.path, (1, 1))
    assert previews.find(saved.path, moving=True) is None
    saved.path.write_bytes(b"no picture")
    assert previews.make(saved.path, None, moving=True) is None


def test_a_list_that_cannot_be_made_is_a_sentence(shelves: Shelves, root: Path) -> None:
    with shelves.database.write() as connection:
        connection.execute("DROP TABLE output_files")
    with pytest.raises(Refused, match=r"^Error reading file list\.$"):
        shelves.listed()


def test_lists_of_any_length_are_answered_by_the_same_statements(tmp_path: Path) -> None:
    """sqlite keeps statements as prepared, so that one for each length would fill megabytes."""

    class Noting(Database):
        said: set[str]

        def read(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            self.said.add(sql)
            return super().read(sql, values)

    database = Noting(tmp_path / "index.db", durable=False)
    database.said = set()
    index = HistoryIndex(database)
    names = [f"/out/ü '{number}\".png" for number in range(1200)]
    index.remember_texts([(name, "stamp", None if name.endswith('7".png') else name) for name in names])
    for count in [*range(40), 1200]:
        wanted = names[:count]
        assert index.texts([*wanted, "/out/nothing.png"]) == {
            name: ("stamp", None if name.endswith('7".png') else name) for name in wanted
        }
    assert len([sql for sql in database.said if "output_texts" in sql]) == 1
    database.close()

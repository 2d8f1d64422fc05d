"""Saving: names never collide, files are whole or absent, and nothing is left behind."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from swarm.base.errors import BadInput, NotFound, Refused
from swarm.media.embedded import read_metadata
from swarm.media.formats import Encoded, encode
from swarm.outputs.names import FolderNames
from swarm.outputs.store import SaveRequest
from tests.outputs.support import GREY, Shelves, open_shelves


def test_a_saved_picture_has_a_url_and_is_on_disk(shelves: Shelves, tmp_path: Path) -> None:
    saved = shelves.save("raw/day/a cat", '{"a": 1}')
    assert saved.url == "View/local/raw/day/a cat.png"
    assert saved.relative == "raw/day/a cat.png"
    assert saved.path == tmp_path / "Output/local/raw/day/a cat.png"
    with saved.path.open("rb") as file:
        assert read_metadata(file) == '{"a": 1}'
    assert [path.name for path in saved.path.parent.iterdir()] == ["a cat.png"]


def test_without_user_folders_the_older_address_is_given(tmp_path: Path) -> None:
    shelves = open_shelves(tmp_path, append_user=False)
    saved = shelves.save("raw/x")
    assert saved.url == "Output/raw/x.png" and saved.path == tmp_path / "Output/raw/x.png"
    shelves.database.close()


def test_taken_names_get_a_counter_whatever_their_extension(shelves: Shelves) -> None:
    names = [shelves.save("raw/x", format=format).relative for format in ("PNG", "JPG", "WEBP", "PNG")]
    assert names == ["raw/x.png", "raw/x-1.jpg", "raw/x-2.webp", "raw/x-3.png"]
    assert [shelves.save("raw/n[number]").relative for _ in range(3)] == ["raw/n1.png", "raw/n2.png", "raw/n3.png"]
    assert shelves.save("raw/X").relative == "raw/X-4.png"


def test_files_that_others_put_there_meanwhile_are_not_overwritten(shelves: Shelves) -> None:
    folder = shelves.save("raw/x").path.parent
    (folder / "x-1.jpg").write_bytes(b"another program's")
    (folder / "x-2.swarm.json").write_bytes(b"another program's")
    assert shelves.save("raw/x").relative == "raw/x-3.png"
    assert shelves.save("raw/x").relative == "raw/x-4.png"
    assert (folder / "x-1.jpg").read_bytes() == b"another program's"


def test_a_folder_is_listed_once_however_many_pictures_are_saved_to_it(shelves: Shelves) -> None:
    folder = shelves.save("raw/x").path.parent
    listed: list[str] = []
    watching = True

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("os.listdir", "os.scandir") and str(arguments[0]) == str(folder):
            listed.append(event)

    sys.addaudithook(hear)
    names = [shelves.save("raw/x").relative for _ in range(20)]
    watching = False
    assert names == [f"raw/x-{number}.png" for number in range(1, 21)]
    assert listed == []


def test_names_of_few_folders_are_remembered(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(5)]
    for folder in folders:
        folder.mkdir()
        for number in range(10):
            (folder / f"{number}.PNG").write_bytes(b"")
    names = FolderNames(most=35)
    for folder in [*folders, *folders]:
        assert names.of(folder) == {str(number) for number in range(10)}
        assert names.count() <= 35
    kept = names.of(folders[4])
    kept |= {f"more {number}" for number in range(1000)}
    assert names.of(folders[4]) is kept and names.count() == 1010
    assert names.of(tmp_path / "nowhere") == set() and names.count() == 0


def test_the_name_of_a_deleted_picture_is_not_used_again(shelves: Shelves) -> None:
    first = shelves.save("raw/x", '{"a": 1}')
    shelves.store.delete("local", first.relative)
    assert not first.path.exists()
    assert shelves.save("raw/x").relative == "raw/x-1.png"
    with pytest.raises(NotFound, match="That file does not exist, cannot delete"):
        shelves.store.delete("local", first.relative)


def test_deleting_takes_what_belongs_to_the_picture_along(shelves: Shelves) -> None:
    saved = shelves.save("raw/x")
    for suffix in (".txt", ".metadata.js", ".swarm.json", ".swarmpreview.jpg", ".swarmpreview.webp"):
        (saved.path.parent / f"x{suffix}").write_text("{}")
    (saved.path.parent / "xy.txt").write_text("another's")
    shelves.store.delete("local", "raw/x.png")
    assert [path.name for path in saved.path.parent.iterdir()] == ["xy.txt"]


@pytest.mark.parametrize(
    "path", ["", "raw", ".hidden/x.png", "../other/x.png", "raw/out.png", "nothing.png", "a\0.png"]
)
def test_only_own_existing_files_can_be_deleted(shelves: Shelves, tmp_path: Path, path: str) -> None:
    shelves.save("raw/x")
    other = shelves.save("x", user="other")
    root = tmp_path / "Output/local"
    (root / ".hidden").mkdir()
    (root / ".hidden/x.png").write_bytes(b"x")
    (root / "raw/out.png").symlink_to(other.path)
    with pytest.raises((NotFound, BadInput)):
        shelves.store.delete("local", path)
    assert other.path.exists() and (root / ".hidden/x.png").exists() and (root / "raw/x.png").exists()


def test_metadata_goes_beside_files_that_cannot_hold_it(shelves: Shelves) -> None:
    saved = shelves.save("x", "y" * 40_000, format="JPG")
    assert (saved.path.parent / "x.swarm.json").read_text() == "y" * 40_000
    small = shelves.save("y", "{}", format="JPG")
    assert not (small.path.parent / "y.swarm.json").exists()


def test_a_sidecar_is_written_when_asked_for(shelves: Shelves, tmp_path: Path) -> None:
    encoded = encode(GREY, "PNG", metadata="{}")
    request = SaveRequest(
        user_id="local", template="x", tokens={}, max_part=40, encoded=encoded, metadata="{}", sidecar=True
    )
    assert shelves.store.save(request).path.with_name("x.swarm.json").read_text() == "{}"


def test_sixteen_threads_get_sixteen_names(shelves: Shelves) -> None:
    gate = threading.Barrier(16)

    def save(number: int) -> str:
        gate.wait()
        return shelves.save("raw/x", user=f"u{number % 2}").url

    with ThreadPoolExecutor(16) as pool:
        urls = list(pool.map(save, range(16)))
    assert len(set(urls)) == 16


@pytest.mark.parametrize("user", ["..", "../..", "/", "a/../b", "", "con", "\\..\\"])
def test_no_user_name_leads_out_of_the_output_folder(shelves: Shelves, tmp_path: Path, user: str) -> None:
    root = shelves.store.user_root(user)
    assert root.parent == tmp_path / "Output" and root.name not in ("", ".", "..")


def test_reading_gives_bytes_and_the_real_type(shelves: Shelves, tmp_path: Path) -> None:
    saved = shelves.save("inputs/cat", format="JPG")
    assert shelves.store.read("local", "inputs/cat.jpg") == (saved.path.read_bytes(), "image/jpeg")
    assert shelves.store.read("local", "inputs") is None
    assert shelves.store.read("local", "inputs/dog.jpg") is None
    assert shelves.store.read("other", "inputs/cat.jpg") is None
    assert shelves.store.read("other", "../local/inputs/cat.jpg") is None
    (tmp_path / "Output/local/inputs/out.png").symlink_to("/etc/passwd")
    with pytest.raises(BadInput):
        shelves.store.read("local", "inputs/out.png")


def test_a_folder_where_a_file_should_go_is_a_sentence_and_leaves_nothing(shelves: Shelves, tmp_path: Path) -> None:
    (tmp_path / "Output/local").mkdir(parents=True)
    (tmp_path / "Output/local/raw").write_bytes(b"a file")
    with pytest.raises(Refused, match=r"^Server failed to save an image\.$"):
        shelves.save("raw/x")
    assert [path.name for path in (tmp_path / "Output/local").iterdir()] == ["raw"]
    (tmp_path / "Output/local/raw").unlink()
    assert shelves.save("raw/x").relative == "raw/x.png"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from swarm.base.errors import UserError
from swarm.media.formats import Encoded
from swarm.outputs.names import FolderNames
from swarm.outputs.store import SaveRequest
from tests.outputs.support import open_shelves

shelves = open_shelves(Path(sys.argv[1]))
big = Encoded(data=bytes(300_000), extension="png", mime="image/png", embedded=False, needs_sidecar=True)
request = SaveRequest(user_id="local", template="raw/x", tokens={}, max_part=40, encoded=big, metadata="{}")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
try:
    shelves.store.save(request)
except UserError as error:
    print(error.sentence)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(sorted(path.name for path in (Path(sys.argv[1]) / "Output").rglob("*")))
print(shelves.store.save(request).relative)
"""


def test_a_full_disk_is_a_sentence_leaves_nothing_and_the_next_save_works(tmp_path: Path) -> None:
    repository = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], cwd=repository, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines() == [
        "Server failed to save an image.",
        "['local', 'raw']",
        "raw/x.png",
    ], done.stderr


def test_unfinished_files_of_earlier_runs_are_not_listed_and_are_swept(shelves: Shelves, tmp_path: Path) -> None:
    saved = shelves.save("raw/x")
    leftover = saved.path.with_name(".swarm-0123abcd-7.tmp")
    leftover.write_bytes(saved.path.read_bytes()[:50])
    own = [saved.path.with_name(".notes.tmp"), saved.path.with_name("swarm-1.tmp")]
    for path in own:
        path.write_bytes(b"the user's")
    assert shelves.listed() == ["raw/x.png"]
    assert shelves.store.sweep() == 1
    assert not leftover.exists() and all(path.exists() for path in own)
    assert shelves.store.sweep() == 0


def test_a_lost_index_does_not_stop_saving(shelves: Shelves, tmp_path: Path) -> None:
    with shelves.database.write() as connection:
        connection.execute("DROP TABLE output_files")
    assert shelves.save("raw/x").path.exists()


def test_other_kinds_of_files_keep_their_extension(shelves: Shelves) -> None:
    sound = Encoded(data=b"ID3", extension="mp3", mime="audio/mpeg", embedded=False, needs_sidecar=True)
    saved = shelves.store.save(
        SaveRequest(user_id="local", template="a", tokens={}, max_part=9, encoded=sound, metadata='{"b": 1}')
    )
    assert saved.relative == "a.mp3" and saved.path.with_name("a.swarm.json").read_text() == '{"b": 1}'

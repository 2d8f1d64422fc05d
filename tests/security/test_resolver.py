"""The one way from a name to a file, by itself: names of other systems, folders named alike, swapped links."""

from __future__ import annotations

import ntpath
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from swarm.base.errors import BadInput
from swarm.base.paths import clean_file_name, clean_output_path, open_under, under
from tests.security.corpus import PATHS

WINDOWS = (
    *(
        "/windows/win.ini",
        "\\windows\\win.ini",
        "//./pipe/x",
        "\\\\.\\pipe\\x",
        "\\\\?\\C:\\x",
        "NUL",
        "nul.png",
        "aux",
    ),
    *(
        "CON",
        "com1.txt",
        "a/LPT9",
        "a/prn.tar.gz",
        "C:x",
        "C:/x",
        "c:\\x",
        "x:y",
        "x.png::$DATA",
        "..\\x",
        "a\\..\\..\\x",
    ),
    *("com0", "AUX .png", "\\\\host\\share\\x", "//host/share/x", "a\\b"),
)
SWAPS = 300


@pytest.mark.case("T04")
@pytest.mark.parametrize("name", WINDOWS)
def test_names_that_mean_more_on_windows_are_refused_everywhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadInput) as refused:
        under(tmp_path, name)
    assert refused.value.error_id == "bad_path"
    with pytest.raises(BadInput):
        open_under(tmp_path, name)


@pytest.mark.case("T04")
@pytest.mark.parametrize("name", [*WINDOWS, *PATHS])
def test_a_cleaned_name_is_relative_on_windows_too(name: str) -> None:
    for cleaned in (clean_file_name(name), clean_output_path(name)):
        assert not ntpath.isabs(cleaned) and ntpath.splitdrive(cleaned)[0] == "" and not cleaned.startswith(("/", "\\"))
        joined = ntpath.normpath(ntpath.join("C:\\pictures\\bob", cleaned))
        assert joined == "C:\\pictures\\bob" or joined.startswith("C:\\pictures\\bob\\")
    parts = clean_file_name(name).lower().split("/")
    assert not {"con", "nul", "aux", "prn", "com1", "lpt9"} & set(parts)


@pytest.mark.case("T06")
def test_a_folder_whose_name_begins_alike_is_another(tmp_path: Path) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web-secret").mkdir()
    (tmp_path / "web-secret" / "x").write_text("secret")
    (tmp_path / "web" / "link").symlink_to(tmp_path / "web-secret")
    for name in ("../web-secret/x", "link/x", "link"):
        with pytest.raises(BadInput):
            under(tmp_path / "web", name)


@contextmanager
def swapping(place: Path, one: Path, other: Path) -> Iterator[threading.Event]:
    """`place` is `one` and a link to `other` in turn, as fast as the disk can, until the block ends."""
    is_over, aside = threading.Event(), place.with_name("aside")

    def swap() -> None:
        while not is_over.is_set():
            place.rename(aside)
            place.symlink_to(other)
            place.unlink()
            aside.rename(place)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield is_over
    finally:
        is_over.set()
        swapper.join()


@pytest.mark.case("T08")
@pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="folders can be opened one below the other on POSIX only")
def test_a_link_swapped_in_between_check_and_open_wins_nothing(tmp_path: Path) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "a" / "x").write_text("own")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "x").write_text("secret")
    read = {"own": 0, "refused": 0}
    with swapping(tmp_path / "root" / "a", tmp_path / "root" / "a", tmp_path / "out"):
        while min(read.values()) < 20 or sum(read.values()) < SWAPS:
            with suppress(FileNotFoundError, BadInput):
                with open_under(tmp_path / "root", "a/x") as file:
                    assert file.read() == b"own"
                read["own"] += 1
                continue
            read["refused"] += 1


@pytest.mark.case("T08")
def test_a_fifo_holds_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    with pytest.raises(FileNotFoundError):
        open_under(tmp_path, "x.png")

"""Names from people, and ways out of a folder that must not work."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.base.errors import BadInput
from swarm.base.paths import clean_file_name, clean_output_path, is_hidden, open_under, under

ATTACKS = [
    *("../", "..\\", "%2e%2e%2f", "%252e%252e%252f", "..%c0%af", "....//", "..;/", ".././../", "..//..//"),
    *("/etc/passwd", "C:\\Windows\\win.ini", "C:/Windows/win.ini", "\\\\host\\share", "//host/x", "file:///etc/passwd"),
    *("~root", "x\0.png", "x%00.png", ".git/config", "CON.png", "a.", "x" * 5000, "․․/x", "..／..／x", "\ud800.png"),
    *("NUL", "//./pipe/x", "/windows/win.ini", "a/../../b", "raw/%2e%2e/%2e%2e/secret.txt", "..", ".", "", "/", "\\"),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "bob2").mkdir()
    (tmp_path / "bob2" / "secret.txt").write_text("secret")
    folder = tmp_path / "bob"
    (folder / "raw").mkdir(parents=True)
    (folder / "raw" / "a.png").write_bytes(b"mine")
    return folder


def contents(root: Path, relative: str) -> bytes | None:
    try:
        with open_under(root, relative) as file:
            return file.read()
    except (BadInput, OSError):
        return None


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("target", ["secret.txt", "bob2/secret.txt"])
@pytest.mark.parametrize("decodings", [0, 1, 2])
def test_no_spelling_leads_out(root: Path, attack: str, target: str, decodings: int) -> None:
    for path in (attack + target, attack * 3 + target, attack, f"raw/{attack}{attack}{target}"):
        for _ in range(decodings):
            path = unquote(path)
        assert contents(root, path) is None
        assert contents(root, clean_output_path(path)) in (None, b"mine")


@pytest.mark.parametrize("link", ["raw/out.png", "outside/secret.txt", "loop/loop/loop"])
def test_links_out_of_the_folder_are_refused(root: Path, link: str) -> None:
    (root / "raw" / "out.png").symlink_to(root.parent / "secret.txt")
    (root / "outside").symlink_to(root.parent)
    (root / "loop").symlink_to(root / "loop")
    assert contents(root, link) is None
    if not link.startswith("loop"):
        with pytest.raises(BadInput) as caught:
            under(root, link)
        assert caught.value.error_id == "bad_path"
        assert caught.value.sentence.startswith("Unacceptable path.")


def test_links_within_the_folder_and_a_linked_root_are_followed(root: Path, tmp_path: Path) -> None:
    (root / "also").symlink_to(root / "raw")
    (tmp_path / "linked").symlink_to(root)
    assert contents(root, "also/a.png") == b"mine"
    assert contents(tmp_path / "linked", "raw/a.png") == b"mine"


def test_a_folder_swapped_for_a_link_between_check_and_open_wins_nothing(root: Path) -> None:
    for _ in range(300):
        path = under(root, "raw/a.png")
        (root / "raw").rename(root / "raw2")
        (root / "raw").symlink_to(root.parent / "bob2")
        assert contents(root, "raw/secret.txt") is None
        (root / "raw").unlink()
        (root / "raw2").rename(root / "raw")
        assert path.read_bytes() == b"mine"


def test_what_is_no_regular_file_is_not_opened(root: Path) -> None:
    os.mkfifo(root / "raw" / "fifo.png")
    assert contents(root, "raw/fifo.png") is None
    with pytest.raises(IsADirectoryError):
        open_under(root, "raw")
    with pytest.raises(IsADirectoryError):
        open_under(root, "")
    with pytest.raises(FileNotFoundError):
        open_under(root, "raw/a.png/b.png")


@pytest.mark.parametrize(
    "name", ["con", "NUL.png", "raw/lpt1.txt", "a\\b", "C:x", "a\nb", "a\x7fb", "é" * 200, "a/" * 2000]
)
def test_names_that_are_none_somewhere_are_refused_everywhere(root: Path, name: str) -> None:
    with pytest.raises(BadInput):
        under(root, name)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("raw/2026/a cat", "raw/2026/a cat"),
        ("7.5", "75"),
        ("sd_xl_base_1.0", "sd_xl_base_10"),
        ("a\\b//c", "a/b/c"),
        ("  /a / b/ ", "a/b"),
        ('x<>:"|?*~&@;#$^y', "xy"),
        ("CON/lpt3/com10/nul", "CON_/lpt3_/com10/nul_"),
        ("a\u200b\u202e\ufeffb\u206db", "ab\u206db"),
        ("../../etc/passwd", "etc/passwd"),
        ("naïve 猫 😀", "naïve 猫 😀"),
        ("a\x00\x1f\x85b", "ab"),
        ("...", ""),
    ],
)
def test_the_strict_clean(text: str, cleaned: str) -> None:
    assert clean_file_name(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("raw\\2026\\a.png", "raw/2026/a.png"),
        ("raw/a%20cat.png", "raw/a cat.png"),
        ("....//etc/./passwd", "etc/./passwd"),
        (".....x", ".x"),
        ("raw/", "raw"),
        ("/raw//x.png", "raw/x.png"),
        ('a<>:"|?*~&@;#$^\x00b.png', "ab.png"),
    ],
)
def test_the_clean_of_output_paths(text: str, cleaned: str) -> None:
    assert clean_output_path(text) == cleaned


@given(st.text())
def test_clean_names_stay_clean(text: str) -> None:
    once = clean_file_name(text)
    assert clean_file_name(once) == once
    assert "." not in once and not once.startswith("/") and "//" not in once
    assert ".." not in clean_output_path(text)


def test_hidden_parts_are_told() -> None:
    assert is_hidden(".a") and is_hidden("raw/.git/config")
    assert not is_hidden("raw/a.png") and not is_hidden("") and not is_hidden("./a")

"""Backups: whole, checked before anything is touched, and never under a running server."""

from __future__ import annotations

import sqlite3
import zipfile
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from swarm.base.errors import BadInput, Refused
from swarm.cli import main
from swarm.commands.archive import back_up, restore
from swarm.lock import FolderLock

NOW = datetime(2026, 1, 31, 18, 5, 7)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database in use, its last rows in the write-ahead log only."""
    folder = tmp_path / "Data"
    folder.mkdir()
    (folder / "Settings.fds").write_text("Network:\n    Port: 7900\n")
    (folder / "swarm.log").write_text("no part of it")
    write(folder, "first")
    return folder


def write(folder: Path, word: str) -> None:
    with closing(sqlite3.connect(folder / "swarm.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE IF NOT EXISTS words (word TEXT)")
        database.execute("INSERT INTO words VALUES (?)", (word,))
        database.commit()


def words(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "swarm.db")) as database:
        return [word for (word,) in database.execute("SELECT word FROM words")]


def test_what_was_backed_up_comes_back(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = tmp_path / "b.zip"
    with closing(sqlite3.connect(data / "swarm.db")) as in_use:
        in_use.execute("SELECT * FROM words").fetchone()
        assert main(["backup", str(archive), f"--data-dir={data}"]) == 0
    assert "Settings.fds, swarm.db" in capsys.readouterr().out
    write(data, "second")
    (data / "Settings.fds").write_text("Network:\n    Port: 1\n")
    assert main(["restore", str(archive), f"--data-dir={data}"]) == 0
    assert words(data) == ["first"] and "7900" in (data / "Settings.fds").read_text()
    (aside,) = data.glob("Replaced.*")
    assert words(aside) == ["first", "second"] and (aside / "Settings.fds").read_text().endswith("1\n")


def test_a_running_server_is_not_restored_under(data: Path, tmp_path: Path) -> None:
    back_up(data, tmp_path / "b.zip")
    lock = FolderLock(data)
    lock.acquire()
    try:
        with pytest.raises(Refused, match="Another server already uses"):
            restore(tmp_path / "b.zip", data, NOW)
    finally:
        lock.release()
    restore(tmp_path / "b.zip", data, NOW)


def packed(archive: Path, **files: bytes) -> None:
    with zipfile.ZipFile(archive, "w") as writing:
        for name, content in files.items():
            writing.writestr(name.replace("__", "."), content)


def test_damaged_and_foreign_archives_change_nothing(data: Path, tmp_path: Path) -> None:
    archive, before = tmp_path / "b.zip", sorted(path.read_bytes() for path in data.iterdir())
    back_up(data, tmp_path / "good.zip")
    whole = (tmp_path / "good.zip").read_bytes()
    middle = len(whole) // 2
    archive.write_bytes(whole[:middle])
    with pytest.raises(BadInput):
        restore(archive, data, NOW)
    for files in (
        {},
        {"backup__json": b"[]"},
        {"backup__json": b'{"files": {"../../evil": "0"}}', "../../evil": b"x"},
        {"backup__json": b'{"files": {"swarm.db": "0"}}', "swarm__db": b"x"},
        {"backup__json": b'{"files": {"swarm.db": "0"}}'},
    ):
        packed(archive, **files)
        with pytest.raises(BadInput):
            restore(archive, data, NOW)
    (data / "server.lock").unlink()
    assert sorted(path.read_bytes() for path in data.iterdir()) == before


def test_wrong_names_are_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "Data").mkdir()
    assert main(["restore", str(tmp_path / "none.zip"), f"--data-dir={tmp_path / 'Data'}"]) == 1
    assert capsys.readouterr().err == f"There is no file {tmp_path / 'none.zip'}.\n"
    assert main(["backup", f"--data-dir={tmp_path / 'Data'}"]) == 1
    assert capsys.readouterr().err == f"There is nothing to back up in {tmp_path / 'Data'}.\n"

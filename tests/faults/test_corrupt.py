"""Damaged databases: set aside, replaced by their last sound copy, said on every page, never a refusal to start."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from swarm.base.backup import copies_of, copy_database, fault_in, keep_copy, mend
from tests.conftest import World
from tests.support.client import SwarmClient
from tests.support.server import options_for, server_in_thread

SMALL: dict[str, Any] = {"model": "tiny", "prompt": "a cat", "steps": 1, "seed": 5, "width": 64, "height": 64}


def damage(path: Path) -> None:
    """Bits flipped in twenty pages, the first one among them."""
    data, rng = bytearray(path.read_bytes()), random.Random(3)
    for place in (20, *(rng.randrange(len(data)) for _ in range(20))):
        for each in range(place, min(place + 40, len(data))):
            data[each] ^= 0xFF
    path.write_bytes(bytes(data))


def used(world: World) -> None:
    """A server has run here, with a preset and a picture, and a copy of its database was made."""
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        assert client.post("AddNewPreset", title="Mine", description="", param_map={"steps": "7"}) == {"success": True}
        assert "images" in client.generate(**SMALL)
    keep_copy(world.data / "swarm.db", world.data / "Backups", datetime(2099, 1, 31, 18, 5, 7))


@pytest.mark.parametrize("name", ["swarm.db", "index.db"])
@pytest.mark.case("F14")
def test_the_server_starts_with_a_damaged_database_and_says_so(world: World, name: str) -> None:
    used(world)
    damage(world.data / name)
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        titles = [preset["title"] for preset in client.post("GetMyUserData")["presets"]]
        assert titles == ["Mine"]
        assert len(client.post("ListImages", path="", depth=5)["files"]) == 1
        assert "images" in client.generate(**SMALL)
        assert f"{name} was damaged" in client.http.get("/Text2Image").text
        assert f"{name} was damaged" in client.post("GetCurrentStatus")["notices"][0]
    assert len(list(world.data.glob(f"{name}.corrupt.*"))) >= 1
    assert fault_in(world.data / name) is None


@pytest.mark.case("F14")
def test_without_any_copy_it_begins_anew(world: World) -> None:
    used(world)
    for copy in copies_of("swarm.db", world.data / "Backups"):
        damage(copy)
    damage(world.data / "swarm.db")
    with server_in_thread(options_for(world.folder)) as base, SwarmClient(base) as client:
        assert client.post("GetMyUserData")["presets"] == []
        assert "begins anew" in client.post("GetCurrentStatus")["notices"][0]


def test_a_sound_server_has_no_notices(client: SwarmClient) -> None:
    assert "notices" not in client.post("GetCurrentStatus")
    assert "damaged" not in client.http.get("/Text2Image").text


def table(path: Path, rows: int) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE things (value TEXT)")
        database.executemany("INSERT INTO things VALUES (?)", [("x" * 50,)] * rows)
        database.commit()


def test_the_latest_copies_are_kept(tmp_path: Path) -> None:
    table(tmp_path / "a.db", 10)
    for day in range(1, 6):
        keep_copy(tmp_path / "a.db", tmp_path / "copies", datetime(2026, 1, day))
    names = [path.name for path in copies_of("a.db", tmp_path / "copies")]
    assert names == ["a.db.20260105-000000", "a.db.20260104-000000", "a.db.20260103-000000"]


@pytest.mark.case("F14")
def test_the_newest_sound_copy_is_taken(tmp_path: Path) -> None:
    table(tmp_path / "a.db", 2000)
    old = keep_copy(tmp_path / "a.db", tmp_path / "copies", datetime(2026, 1, 1))
    damage(keep_copy(tmp_path / "a.db", tmp_path / "copies", datetime(2026, 1, 2)))
    damage(tmp_path / "a.db")
    said = mend(tmp_path / "a.db", tmp_path / "copies", datetime(2026, 1, 3))
    assert said is not None and "2026-01-01 00:00" in said
    assert (tmp_path / "a.db").read_bytes() == old.read_bytes()
    assert mend(tmp_path / "a.db", tmp_path / "copies", datetime(2026, 1, 3)) is None


def test_a_damaged_file_cannot_be_copied(tmp_path: Path) -> None:
    table(tmp_path / "a.db", 2000)
    damage(tmp_path / "a.db")
    with pytest.raises(OSError, match=r"a\.db cannot be copied|not sound"):
        copy_database(tmp_path / "a.db", tmp_path / "b.db")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith((".", "b"))] == []

"""Presets are kept in the order they were made, one for each title (swarm-core 5.9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.accounts.presets import Preset, PresetStore
from swarm.base.database import Database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "swarm.db", durable=True)
    yield database
    database.close()


def preset(title: str, **params: str) -> Preset:
    return Preset(author="anna", title=title, description="d", params=params)


def titles(store: PresetStore) -> list[str]:
    return [one.title for one in store.of_user("anna")]


def test_presets_survive_a_restart_in_their_order(database: Database) -> None:
    store = PresetStore(database)
    for title in ("B", "a", "C"):
        store.save(preset(title, steps="5"), "data:x" if title == "a" else None)
    for one in (store, PresetStore(database)):
        assert titles(one) == ["B", "a", "C"]
        assert one.preview("anna", "A") == "data:x" and one.preview("anna", "B") is None
        assert [each.has_preview for each in one.of_user("anna")] == [False, True, False]
        assert one.texts("anna")["b"] == {"steps": "5"}
        assert one.of_user("bert") == []
    assert store.edit_id == 3


def test_an_edited_preset_keeps_its_place_and_may_take_a_title_over(database: Database) -> None:
    store = PresetStore(database)
    for title in ("One", "Two", "Three"):
        store.save(preset(title), None)
    store.save(preset("ONE", steps="1"), None, instead_of="one")
    assert titles(store) == ["ONE", "Two", "Three"]
    store.save(preset("three", steps="2"), None, instead_of="one")
    for one in (store, PresetStore(database)):
        assert titles(one) == ["three", "Two"]
        assert one.find("anna", "THREE") == preset("three", steps="2")
    store.save(preset("New"), None, instead_of="never was")
    assert titles(PresetStore(database)) == ["three", "Two", "New"]


def test_a_deleted_preset_is_gone(database: Database) -> None:
    store = PresetStore(database)
    store.save(preset("One"), None)
    assert store.remove("anna", "ONE") and not store.remove("anna", "one") and not store.remove("bert", "x")
    assert titles(PresetStore(database)) == []


def test_old_parameter_ids_are_renamed_unless_the_new_one_is_there(database: Database) -> None:
    store = PresetStore(database)
    store.save(preset("One", textvideofps="5", saveintermediateimages="true", outputintermediateimages="false"), None)
    assert store.texts("anna")["one"] == {"videofps": "5", "outputintermediateimages": "false"}

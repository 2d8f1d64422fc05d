"""What users leave with the server is there after a restart (swarm-core 4.2, 5.7 to 5.17)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarm.accounts.api_keys import ApiKeys
from swarm.accounts.user import UserStore
from swarm.accounts.userdata import MAX_BYTES, UserData
from swarm.base.database import Database
from swarm.base.errors import BadInput
from swarm.settings.user import FileFormat, UserSettings


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "swarm.db", durable=True)
    yield database
    database.close()


def store(database: Database, now: float = 5.0) -> UserData:
    return UserData(database, lambda: now)


def users(database: Database, defaults: UserSettings = UserSettings()) -> UserStore:  # noqa: B008 - it is frozen
    return UserStore(roles={}, defaults=defaults, local_id="local", clock=lambda: 5.0, data=store(database))


def test_values_are_kept_by_user_and_key(database: Database) -> None:
    store(database).set("anna", "stars", {"LoRA": ["ä", 1, None]})
    later = store(database)
    assert later.get("anna", "stars") == {"LoRA": ["ä", 1, None]}
    assert later.get("bert", "stars") is None and later.get("anna", "other") is None
    assert (later.changed("anna", "stars"), later.changed("bert", "stars")) == (5.0, None)
    assert later.everyones("stars") == {"anna": {"LoRA": ["ä", 1, None]}}
    later.remove("anna", "stars")
    assert later.get("anna", "stars") is None


def test_what_is_too_large_or_too_deep_is_refused(database: Database) -> None:
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    for value in (deep, "x" * MAX_BYTES):
        with pytest.raises(BadInput, match="to be kept"):
            store(database).set("anna", "stars", value)


def test_keys_of_services_are_kept_until_they_are_none(database: Database) -> None:
    keys = ApiKeys(store(database))
    keys.set("anna", "civitai_api", "abc")
    assert (keys.get("anna", "civitai_api"), keys.updated("anna", "civitai_api")) == ("abc", 5.0)
    assert keys.get("bert", "civitai_api") is None
    keys.set("anna", "civitai_api", "none")
    assert (keys.get("anna", "civitai_api"), keys.updated("anna", "civitai_api")) == (None, None)
    with pytest.raises(BadInput, match="Invalid key type 'other_api'"):
        keys.set("anna", "other_api", "abc")
    with pytest.raises(BadInput, match="4000"):
        keys.set("anna", "civitai_api", "x" * 4001)


def test_changed_settings_act_at_once_and_after_a_restart(database: Database) -> None:
    first = users(database)
    anna, bert = first.get_or_create("anna"), first.get_or_create("bert")
    first.change_settings(anna, {"SaveFiles": False, "fileformat.imageformat": "JPG", "roles": ["owner"], "x": 1})
    assert anna.settings == UserSettings(save_files=False, file_format=FileFormat(image_format="JPG"))
    assert bert.settings == UserSettings()
    first.change_settings(anna, {"fileformat.dpi": 300})
    assert users(database).get_or_create("anna").settings.file_format == FileFormat(image_format="JPG", dpi=300)


def test_what_was_not_changed_follows_the_defaults(database: Database) -> None:
    first = users(database)
    anna = first.get_or_create("anna")
    first.change_settings(anna, {"maximagesinhistory": 5})
    first.change_defaults(UserSettings(save_files=False, max_images_in_history=7))
    assert (anna.settings.save_files, anna.settings.max_images_in_history) == (False, 5)
    assert first.get_or_create("bert").settings.max_images_in_history == 7


def test_a_bad_value_changes_nothing(database: Database) -> None:
    first = users(database)
    anna = first.get_or_create("anna")
    with pytest.raises(BadInput):
        first.change_settings(anna, {"savefiles": False, "fileformat.dpi": "many"})
    assert anna.settings == UserSettings() == users(database).get_or_create("anna").settings


def test_kept_settings_that_no_longer_fit_are_ignored(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    store(database).set("anna", "settings", {"savefiles": "maybe", "gone": 1, "fileformat.dpi": 72})
    store(database).set("bert", "settings", ["nonsense"])
    with caplog.at_level(logging.WARNING):
        fresh = users(database)
    assert fresh.get_or_create("anna").settings == UserSettings(file_format=FileFormat(dpi=72))
    assert fresh.get_or_create("bert").settings == UserSettings()
    assert "needs true or false" in caplog.text

"""Settings change as a whole, on disk first."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.base.errors import BadInput, Refused
from swarm.settings.file import load_settings
from swarm.settings.live import SettingsStore
from swarm.settings.server import ServerSettings


def test_a_change_is_saved_and_told(tmp_path: Path) -> None:
    store = SettingsStore(ServerSettings(), tmp_path / "Settings.fds")
    heard: list[ServerSettings] = []
    store.on_change(heard.append)
    store.change({"network.port": 9000})
    assert heard == [store.current] == [load_settings(tmp_path / "Settings.fds")]
    assert store.current.network.port == 9000


def test_locked_settings_are_not_saved(tmp_path: Path) -> None:
    store = SettingsStore(ServerSettings(), None)
    store.change({"network.port": 9000})
    assert store.current.network.port == 9000 and not list(tmp_path.iterdir())


def test_what_cannot_be_saved_is_not_in_effect(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = SettingsStore(ServerSettings(), tmp_path / "file" / "Settings.fds")
    with pytest.raises(Refused):
        store.change({"network.port": 9000})
    with pytest.raises(BadInput):
        store.change({"network.port": 70000})
    assert store.current == ServerSettings()

"""Settings files: what is saved loads again, and a bad file never stops the server."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from swarm.settings.file import load_settings, save_settings
from swarm.settings.server import NetworkSettings, ServerSettings
from swarm.settings.user import FileFormat, UserSettings


def test_what_is_saved_loads_again(tmp_path: Path) -> None:
    changed = ServerSettings(
        network=NetworkSettings(port=9000, allowed_hosts="a b: c\\d ", required_authorization="  x\n"),
        default_user=UserSettings(roles=("user", "-odd"), save_files=False, file_format=FileFormat(dpi=300)),
    )
    path = tmp_path / "deep" / "Settings.fds"
    save_settings(changed, path)
    assert load_settings(path) == changed
    assert [each.name for each in path.parent.iterdir()] == ["Settings.fds"]
    assert "# Port to listen on." in path.read_text()


def test_a_missing_file_means_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.fds") == ServerSettings()


def test_keys_match_in_any_case_and_unknown_ones_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "Settings.fds"
    path.write_text("network:\n\tPORT: 9001\n\tnonsense: 1\nnothing:\n- a\nDefaultUser:\n\troles: guest\n")
    expected = ServerSettings()
    expected = replace(expected, network=NetworkSettings(port=9001), default_user=UserSettings(roles=("guest",)))
    assert load_settings(path) == expected


def test_values_that_do_not_fit_keep_their_defaults(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "Settings.fds"
    path.write_text(
        "Network:\n    Port: many\n    Host:\n        deep: 1\nPaths:\n    AppendUserNameToOutputPath: maybe\n"
    )
    assert load_settings(path) == ServerSettings()
    assert {record.message.split()[2] for record in caplog.records} == {"AppendUserNameToOutputPath", "Port", "Host"}


def test_a_broken_file_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "Settings.fds"
    path.write_text("Network:\n    just words\n")
    with caplog.at_level(logging.ERROR):
        assert load_settings(path) == ServerSettings()
    assert (tmp_path / "Settings.fds.bad").read_text().startswith("Network")
    assert "Line 2 " in caplog.text

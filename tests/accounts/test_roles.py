"""The roles of a server: granted by level once, and as administrators leave them from then on (swarm-core 3.1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from swarm.access.permissions import INSTALL, USE_TOKENIZER, VIEW_BACKENDS_LIST, VIEW_LOGS
from swarm.access.role import Rights
from swarm.accounts.roles import RoleStore
from swarm.base.errors import BadInput, NotFound, Refused

FIRST = [INSTALL, USE_TOKENIZER, VIEW_BACKENDS_LIST]


def test_what_was_taken_away_stays_away_and_what_is_new_is_granted(tmp_path: Path) -> None:
    file = tmp_path / "Roles.fds"
    roles = RoleStore(file, FIRST)
    guest = roles["guest"]
    assert guest.rights.permissions == {"use_tokenizer"}
    roles.edit("guest", description="Visitors", rights=replace(guest.rights, permissions=frozenset()))
    again = RoleStore(file, [*FIRST, VIEW_LOGS])
    assert again["guest"].rights.permissions == frozenset() and again["guest"].description == "Visitors"
    assert "view_logs" in again["admin"].rights.permissions and "view_logs" not in again["poweruser"].rights.permissions
    assert {"*", "view_logs"} <= again["owner"].rights.permissions
    assert all(again[id].built_in for id in ("owner", "admin", "poweruser", "user", "guest"))


def test_a_file_without_a_built_in_role_gets_it_again(tmp_path: Path) -> None:
    file = tmp_path / "Roles.fds"
    file.write_text("user:\n    PermissionFlags:\n    - use_tokenizer\n", encoding="utf-8")
    roles = RoleStore(file, FIRST)
    assert set(roles) == {"owner", "admin", "poweruser", "user", "guest"}
    assert "*" in roles["owner"].rights.permissions


def test_a_broken_file_is_set_aside(tmp_path: Path) -> None:
    file = tmp_path / "Roles.fds"
    file.write_text("this is no roles file", encoding="utf-8")
    assert "install" in RoleStore(file, FIRST)["owner"].rights.permissions
    assert (tmp_path / "Roles.fds.bad").read_text("utf-8") == "this is no roles file"


def test_listeners_hear_of_edits_and_refused_ones_change_nothing(tmp_path: Path) -> None:
    roles = RoleStore(tmp_path / "Roles.fds", FIRST)
    heard: list[str] = []
    roles.on_change(heard.append)
    assert roles.add("Night Shift").id == "nightshift"
    roles.edit("Night Shift", description="", rights=Rights())
    roles.delete("nightshift")
    assert heard == ["nightshift", "nightshift"]
    with pytest.raises(NotFound):
        roles.edit("nightshift", description="", rights=Rights())
    with pytest.raises(Refused):
        roles.delete("guest")
    with pytest.raises(BadInput):
        roles.add("ab")
    with pytest.raises(Refused, match="already exists"):
        roles.add("OWNER")
    assert len(heard) == 2


def test_rights_cover_what_they_allow() -> None:
    plain = Rights(permissions=frozenset({"a"}))
    everything = Rights(permissions=frozenset({"*"}))
    some_models = Rights(permissions=frozenset({"a"}), model_whitelist=frozenset({"x/"}))
    fewer_models = Rights(permissions=frozenset({"a"}), model_blacklist=frozenset({"x/"}))
    assert everything.covers(plain) and not plain.covers(everything)
    assert plain.covers(some_models) and not some_models.covers(plain)
    assert plain.covers(fewer_models) and not fewer_models.covers(plain)
    assert everything.covers(Rights(permissions=frozenset({"*"}), allow_unsafe_outpaths=True))
    assert not plain.covers(Rights(allow_unsafe_outpaths=True))

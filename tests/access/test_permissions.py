"""The built-in permissions and roles (swarm-core 3)."""

from __future__ import annotations

from collections import Counter

import swarm.access
from swarm.access import permissions
from swarm.access.permission import Permission
from swarm.access.role import Rights, Role, default_roles, stacked
from swarm.base.registry import collect

ALL = collect(swarm.access, Permission)


def test_constants_are_named_after_their_ids() -> None:
    named = {name: value.id for name, value in vars(permissions).items() if isinstance(value, Permission)}
    assert named.pop("FULL_CONTROL") == "*"
    assert named == {each.upper(): each for each in named.values()}
    assert len(ALL) == 66 and list(ALL)[:3] == ["*", "local_image_folder", "install"]


def test_groups_hold_what_the_contract_says() -> None:
    counts = Counter(permission.group.id for permission in ALL.values())
    assert counts == {
        "Special": 5, "Admin": 13, "Backends Admin": 5, "Control": 12, "Parameters": 5, "User": 20, "ComfyUI": 6
    }  # fmt: skip


def test_higher_roles_hold_everything_lower_ones_do() -> None:
    roles = default_roles(ALL.values())
    sizes = [len(roles[each].rights.permissions) for each in ("guest", "user", "poweruser", "admin", "owner")]
    assert list(roles) == ["owner", "admin", "poweruser", "user", "guest"]
    assert sizes == sorted(sizes) and sizes[-1] == len(ALL)
    assert roles["guest"].rights.permissions < roles["user"].rights.permissions < roles["admin"].rights.permissions
    assert "*" in roles["owner"].rights.permissions and "*" not in roles["admin"].rights.permissions


def test_roles_stack() -> None:
    small = Role(id="a", name="A", rights=Rights(permissions=frozenset("x"), max_simultaneous=2, max_outpath_depth=9))
    large = Role(id="b", name="B", rights=Rights(permissions=frozenset("y"), max_simultaneous=8))
    both = stacked([small, large])
    assert (both.permissions, both.max_simultaneous, both.max_outpath_depth) == (frozenset("xy"), 8, 9)
    assert stacked([]) == Rights()


def test_model_lists_are_prefixes_in_any_case() -> None:
    rights = Rights(model_whitelist=frozenset({"sdxl/"}), model_blacklist=frozenset({"sdxl/secret"}))
    allowed = ["SDXL/base", "(None)"]
    refused = ["sd15/x", "sdxl/Secret-1"]
    assert [rights.permits_model(name) for name in allowed + refused] == [True, True, False, False]
    assert Rights().permits_model("anything")

"""Roles.fds: SwarmUI's own files are read, and what is written is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.access.role import Rights, Role
from swarm.access.roles_file import RolesFile, read_roles, write_roles
from swarm.base.errors import BadInput

SWARMUI = """
owner:
    #How many directories deep a user's custom OutPath can be.
    MaxOutPathDepth: 5
    ModelWhitelist:
    PermissionFlags:
    - *
    - install
    MaxT2ISimultaneous: 32
    AllowUnsafeOutpaths: false
    Name: Owner
    Description: \\x
children:
    MaxOutPathDepth: 2
    ModelWhitelist:
    - Toons/
    - animals/
    PermissionFlags:
    - basic_image_generation
    MaxT2ISimultaneous: many
    AllowUnsafeOutpaths: true
    Name: Children
___$tracked:
- *
- install
"""


def test_a_file_of_swarmui_is_read() -> None:
    found = read_roles(SWARMUI)
    assert list(found.roles) == ["owner", "children"] and found.tracked == {"*", "install"}
    children = found.roles["children"]
    assert (children.name, children.description, children.built_in) == ("Children", "", False)
    assert children.rights == Rights(
        permissions=frozenset({"basic_image_generation"}),
        max_simultaneous=32,
        max_outpath_depth=2,
        allow_unsafe_outpaths=True,
        model_whitelist=frozenset({"toons/", "animals/"}),
    )
    assert found.roles["owner"].rights.permissions == {"*", "install"}


WORDS = st.frozensets(st.text("abcdefgh_*/ .:#", min_size=1, max_size=12), max_size=4)
RIGHTS = st.builds(
    Rights,
    permissions=WORDS,
    max_simultaneous=st.integers(0, 999),
    max_outpath_depth=st.integers(0, 99),
    allow_unsafe_outpaths=st.booleans(),
    model_whitelist=WORDS,
    model_blacklist=WORDS,
)


@given(rights=RIGHTS, description=st.text(max_size=60).filter(lambda text: "\x00" not in text), tracked=WORDS)
def test_what_is_written_is_read_again(rights: Rights, description: str, tracked: frozenset[str]) -> None:
    plain = "".join(letter for letter in description if letter.isprintable())
    role = Role(id="shift", name="Shift", description=plain, rights=rights)
    assert read_roles(write_roles(RolesFile(roles={"shift": role}, tracked=tracked))) == RolesFile(
        roles={"shift": role}, tracked=tracked
    )


def test_nonsense_is_refused_with_its_line() -> None:
    with pytest.raises(BadInput, match="Line 1 "):
        read_roles("nothing that could be a role")

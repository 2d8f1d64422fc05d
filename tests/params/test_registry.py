from __future__ import annotations

import pytest

from swarm.base.registry import DuplicateId, Registry
from swarm.features.core import CFG_SCALE
from swarm.params.kinds import Text
from swarm.params.param import Param, ParamGroup
from swarm.params.registry import AnyParam, ParamRegistry
from tests.params.fixed_choices import PARAMS


def registry(*params: Param[str]) -> ParamRegistry:
    pairs: list[tuple[str, AnyParam]] = [("here", param) for param in params]
    return ParamRegistry.of(Registry(pairs))


@pytest.mark.parametrize("key", ["cfgscale", "CFG Scale", "cfg_scale", "cfgScale", "CFGSCALE", " cfg-scale "])
def test_a_parameter_is_found_in_every_spelling(key: str) -> None:
    assert PARAMS.find(key) is CFG_SCALE


def test_unknown_keys_find_nothing() -> None:
    assert PARAMS.find("") is None
    assert PARAMS.find("42") is None


def test_other_names_find_the_parameter() -> None:
    note = Text(name="Note", description="", aliases=("Old Note",))
    assert registry(note).find("oldNote") is note


def test_other_names_must_be_free() -> None:
    note = Text(name="Note", description="", aliases=("Memo",))
    with pytest.raises(DuplicateId, match="memo"):
        registry(note, Text(name="Memo", description=""))
    with pytest.raises(DuplicateId, match="memo"):
        registry(note, Text(name="Paper", description="", aliases=("memo",)))


def test_groups_come_with_their_ancestors_by_priority() -> None:
    parent = ParamGroup(name="Parent", priority=2)
    child = ParamGroup(name="Child", priority=1, parent=parent)
    found = registry(Text(name="A", description="", group=child), Text(name="B", description="", group=child))
    assert found.groups() == [child, parent]


def test_parameters_stand_in_the_order_of_the_page() -> None:
    core = ["prompt", "negativeprompt", "images", "seed", "steps", "cfgscale"]
    assert [id for id in PARAMS.params if id in core] == core

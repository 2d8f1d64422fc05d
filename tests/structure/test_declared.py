"""Every declared value has a unique id and documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

import swarm.ext
from swarm.app import PROGRAM
from swarm.declarations import collect_declarations
from swarm.extend.load import load_extensions

DECLARED = collect_declarations(
    [module for extension in load_extensions(PROGRAM / "extensions") for module in extension.modules]
)
DOCUMENTED = {
    "permissions": {key: value.description for key, value in DECLARED.permissions.items()},
    "params": {key: value.description for key, value in DECLARED.params.params.items()},
    "tags": {key: value.doc for key, value in DECLARED.tags.items()},
    "samplers": {key: value.doc for key, value in DECLARED.samplers.items()},
    "schedules": {key: value.doc for key, value in DECLARED.schedules.items()},
    "routes": {key: value.doc for key, value in DECLARED.routes.items()},
    "pages": {key: value.doc for key, value in DECLARED.pages.items()},
    "backend types": {key: value.description for key, value in DECLARED.backend_types.items()},
}


@pytest.mark.parametrize("kind", DOCUMENTED)
def test_every_declared_value_is_documented(kind: str) -> None:
    values = DOCUMENTED[kind]
    assert values
    assert not [key for key, text in values.items() if len(text.strip()) < 5]


def test_every_parameter_belongs_to_a_described_group() -> None:
    groups = {value.group for value in DECLARED.params.params.values() if value.group is not None}
    assert not [group.name for group in groups if not group.description]


def test_every_declaring_file_has_a_test() -> None:
    """A route, sampler or tag without a test that names it is not finished."""
    text = "\n".join(path.read_text("utf-8") for path in (PROGRAM / "tests").rglob("*.py")).lower()
    names = [*DECLARED.routes, *DECLARED.samplers, *DECLARED.tags]
    assert not [name for name in names if name.lower() not in text]


def test_the_extension_api_is_sorted_and_whole() -> None:
    names = swarm.ext.__all__
    constants = [name for name in names if name.isupper()]
    types = [name for name in names if not name.isupper() and name[0].isupper()]
    functions = [name for name in names if name[0].islower()]
    assert names == sorted(constants) + sorted(types) + sorted(functions)
    imported = {name for name in vars(swarm.ext) if not name.startswith("_")} - {"annotations"}
    assert imported == set(names)


def test_the_tutorial_extension_adds_one_of_each() -> None:
    assert DECLARED.routes["hello"].name == "Hello"
    assert "hellomood" in DECLARED.params.params
    assert "shout" in DECLARED.tags
    assert "hello_halfway" in DECLARED.samplers
    files = {path.stem for path in Path(PROGRAM / "extensions" / "hello").glob("*.py")}
    assert files == {"greeting_route", "mood", "shout_tag", "halfway_sampler"}

"""Settings trees as forms, and the changes that come back (swarm-core 4.1, 4.2)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from swarm.base.errors import BadInput
from swarm.settings.setting import setting, setting_meta
from swarm.settings.wire import SECRET, changed_settings, settings_map


@dataclass(frozen=True, kw_only=True)
class Inner:
    word: str = setting("a", "Word", "A word.", options=("a", "b"), option_names=("A", "B"))
    share: float = setting(0.5, "Share", "A share.")


@dataclass(frozen=True, kw_only=True)
class Tree:
    text: str = setting("t", "SomeText", "A text.")
    number: int = setting(5, "Number", "A number.")
    flag: bool = setting(True, "Flag", "A flag.")
    names: tuple[str, ...] = setting(("x", "y"), "Names", "A list.")
    password: str = setting("", "Password", "Hidden.", secret=True)
    inner: Inner = field(default_factory=Inner, metadata=setting_meta("Inner", "A group."))


def test_a_tree_is_a_map_of_entries_in_declared_order() -> None:
    shown: dict[str, Any] = dict(settings_map(Tree, Tree(number=6, password="secret")))
    assert list(shown) == ["sometext", "number", "flag", "names", "password", "inner"]
    common = {"values": None, "value_names": None, "is_secret": False}
    number = {"type": "integer", "name": "Number", "value": 6, "description": "A number.", **common, "default_value": 5}
    assert list(shown["number"].items()) == list(number.items())
    assert (shown["names"]["type"], shown["names"]["value"]) == ("list", "x || y")
    assert (shown["flag"]["type"], shown["flag"]["value"]) == ("boolean", True)
    assert shown["password"] == {
        **{"type": "text", "name": "Password", "value": "\t<secret>", "description": "Hidden."},
        **{**common, "is_secret": True},
    }
    assert "default_value" not in shown["inner"]
    assert (shown["inner"]["type"], list(shown["inner"]["value"])) == ("group", ["word", "share"])
    word = shown["inner"]["value"]["word"]
    assert (word["type"], word["values"], word["value_names"]) == ("dropdown", ["a", "b"], ["A", "B"])
    assert shown["inner"]["value"]["share"]["type"] == "decimal"


def test_what_is_left_out_is_not_shown_and_not_changed() -> None:
    assert "names" not in settings_map(Tree, Tree(), leave_out=["names"])
    assert changed_settings(Tree(), {"Names": ["z"]}, leave_out=["names"]) == Tree()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"NUMBER": "7"}, Tree(number=7)),
        ({"number": 6.5}, Tree(number=6)),
        ({"number": 7.5}, Tree(number=8)),
        ({"number": True}, Tree(number=1)),
        ({"flag": "FALSE"}, Tree(flag=False)),
        ({"flag": 0}, Tree(flag=False)),
        ({"sometext": 5}, Tree(text="5")),
        ({"sometext": None}, Tree()),
        ({"names": " a , ,b,"}, Tree(names=("a", "b"))),
        ({"names": ["a,b", 5]}, Tree(names=("a,b", "5"))),
        ({"inner.word": "unlisted", "inner.share": "0.25"}, Tree(inner=Inner(word="unlisted", share=0.25))),
        ({"password": SECRET}, Tree()),
        ({"password": "new"}, Tree(password="new")),
        ({"inner": {"word": "b"}, "nothing": 1, "inner.nothing": 1, "": 1}, Tree()),
    ],
)
def test_changes_are_read_by_the_declared_type(changes: dict[str, Any], expected: Tree) -> None:
    assert changed_settings(Tree(), changes) == expected


BAD: dict[str, list[Any]] = {
    "number": [None, "x", [], {}, 2**31, float("inf"), "nan"],
    "flag": [None, "yes", [1]],
    "names": [None, 5, [[1]], [None], {"a": 1}],
    "sometext": [[], {}],
    "inner.share": ["much"],
}


@pytest.mark.parametrize(("path", "value"), [(path, value) for path, values in BAD.items() for value in values])
def test_what_cannot_be_read_is_refused(path: str, value: Any) -> None:
    with pytest.raises(BadInput, match=f"The setting '{path}' needs"):
        changed_settings(Tree(), {"flag": False, path: value})

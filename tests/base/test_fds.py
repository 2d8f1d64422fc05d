"""The settings-file syntax: what is written reads back, and what SwarmUI writes is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.base import fds
from swarm.base.errors import BadInput

TEXTS = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    ["", " ", " a ", "# no", "- x", "\\s", "a: b"]
)
LEAVES = TEXTS | st.binary(min_size=1, max_size=12)
ITEMS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(TEXTS, inner, min_size=1, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(TEXTS, ITEMS | st.just({}), max_size=4))
def test_what_is_written_reads_back(tree: dict[str, fds.Node]) -> None:
    assert fds.parse(fds.write(tree)) == tree


def test_a_file_with_everything_in_it() -> None:
    text = (
        "\ufeff# server\r\nnetwork:\r\n\t# where\r\n\tport: 7801\r\n    host: \\x\r\n\r\n"
        "lists:\r\n- one\r\n- two: three\r\n> a: 1\r\n  b:\r\n  - deep\r\n> - x\r\n  - y\r\n"
        "raw= AAE=\r\nempty:\r\nlast\\d\\c\\e: \\x end \\x\r\n"
    )
    assert fds.parse(text) == {
        "network": {"port": "7801", "host": ""},
        "lists": ["one", "two: three", {"a": "1", "b": ["deep"]}, ["x", "y"]],
        "raw": b"\x00\x01",
        "empty": {},
        "last.:=": " end ",
    }


def test_numbers_booleans_and_comments_are_written_as_people_spell_them() -> None:
    text = fds.write({"a": True, "b": {"c": 0.5, "d": [1, "x"]}}, {("b", "c"): "first\nsecond"})
    assert text == "a: true\nb:\n    # first\n    # second\n    c: 0.5\n    d:\n    - 1\n    - x\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\n   b: 2\n", 2),
        ("- a\n", 1),
        ("a: 1\njust words\n", 2),
        (": x\n", 1),
        ("a=\n", 1),
        ("a= !!!\n", 1),
        ("a:\n- x\n>\n", 3),
        ("    a: 1\nb: 2\n", 2),
    ],
)
def test_a_broken_line_is_named(text: str, line: int) -> None:
    with pytest.raises(BadInput, match=f"Line {line} "):
        fds.parse(text)

from __future__ import annotations

import time

import pytest

from swarm.prompt.lexer import TagUse, split_smart, split_tags


def test_tags_are_told_from_text() -> None:
    assert split_tags("a <Random[2,]:x,<b:c>> d") == [
        "a ",
        TagUse("<Random[2,]:x,<b:c>>", "random", "2,", "x,<b:c>"),
        " d",
    ]


@pytest.mark.parametrize("text", ["plain", "", "a > b", "a < b", "> <", "a <b <c> d"])
def test_text_without_a_closed_tag_is_plain(text: str) -> None:
    assert split_tags(text) == ([text] if text else [])


@pytest.mark.parametrize(
    ("source", "name", "predata", "data"),
    [
        ("<break>", "break", None, None),
        ("<var:x>", "var", None, "x"),
        ("<var[x]>", "var", "x", None),
        ("<a[<b:c>]:d:e>", "a", "<b:c>", "d:e"),
        ("<a[b]c:d>", "a[b]c", None, "d"),
        ("<>", "", None, None),
    ],
)
def test_the_parts_of_a_tag(source: str, name: str, predata: str | None, data: str | None) -> None:
    assert split_tags(source) == [TagUse(source, name, predata, data)]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a, b ,c", ["a", "b", "c"]),
        ("a,b|c", ["a,b", "c"]),
        ("a|b||c", ["a|b", "c"]),
        ("<r:a,b>,c", ["<r:a,b>", "c"]),
        ("<r:a|b>,c", ["<r:a|b>", "c"]),
        ("a", ["a"]),
        ("a|||b", ["a", "|b"]),
    ],
)
def test_lists_split_at_the_strongest_separator_outside_tags(text: str, parts: list[str]) -> None:
    assert split_smart(text) == parts


@pytest.mark.parametrize("text", ["<" * 300_000, "<a:" * 100_000 + ">" * 100_000, "<>" * 150_000, "a,<b>" * 60_000])
def test_hostile_text_is_read_in_linear_time(text: str) -> None:
    started = time.process_time()
    split_tags(text)
    split_smart(text)
    assert time.process_time() - started < 5

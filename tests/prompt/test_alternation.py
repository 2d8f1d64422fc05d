from __future__ import annotations

import time

import pytest

from swarm.prompt.alternation import ScheduledText, prompt_schedule, split_breaks


def by_step(text: str, steps: int = 4) -> list[str]:
    ranges = prompt_schedule(text, steps)
    assert [one.start for one in ranges] == [0, *(one.end for one in ranges[:-1])]
    assert ranges[-1].end == steps
    return [one.text for one in ranges for _ in range(one.start, one.end)]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", ["plain"] * 4),
        ("[a|b] x", ["a x", "b x", "a x", "b x"]),
        ("[a|b|c]", ["a", "b", "c", "a"]),
        ("[a:b:0.5]", ["a", "a", "b", "b"]),
        ("[a:b:1]", ["a", "b", "b", "b"]),
        ("[a:3]", ["", "", "", "a"]),
        ("[a::2]", ["a", "a", "", ""]),
        ("[text] x", ["[text] x"] * 4),
        ("[text] [a|b]", ["text a", "text b"] * 2),
        ("[a:b]", ["[a:b]"] * 4),
        ("[a:b:c:2]", ["[a:b:c:2]"] * 4),
        ("[a:b:c:2] [a|b]", ["a:b:c:2 a", "a:b:c:2 b"] * 2),
        ("[[a|b]:c:2]", ["a", "b", "c", "c"]),
        ("[(a:1.2):b:2]", ["(a:1.2)", "(a:1.2)", "b", "b"]),
        ("[a:b|c]", ["a:b", "c", "a:b", "c"]),
        (r"[a\|b|c\]]", ["a|b", "c]", "a|b", "c]"]),
        (r"\[lit\] [a|b]", ["[lit] a", "[lit] b"] * 2),
        (r"(x\) \[y]", [r"(x\) [y]"] * 4),
        ("[x [y|z]", ["[x y", "[x z"] * 2),
        ("a] [b", ["a] [b"] * 4),
        ("no ] brackets", ["no ] brackets"] * 4),
    ],
)
def test_brackets_change_the_text_with_the_step(text: str, shown: list[str]) -> None:
    assert by_step(text) == shown


def test_equal_steps_share_one_range() -> None:
    assert prompt_schedule("[a:b:10]", 20) == [ScheduledText("a", 0, 10), ScheduledText("b", 10, 20)]


def test_no_steps_count_as_one() -> None:
    assert prompt_schedule("[a|b]", 0) == [ScheduledText("a", 0, 1)]


def test_texts_that_follow_one_another_overlap_a_little() -> None:
    first, second, third = prompt_schedule("[a|b|c]", 3)
    assert first.shares(3) == pytest.approx((0, 1 / 3 + 0.001))
    assert second.shares(3) == pytest.approx((1 / 3 - 0.001, 2 / 3 + 0.001))
    assert third.shares(3) == pytest.approx((2 / 3 - 0.001, 1))


def test_breaks_part_the_prompt() -> None:
    assert split_breaks("a <break> b<BREAK>") == ["a ", " b", ""]
    assert split_breaks("") == [""]


@pytest.mark.parametrize(
    "text", ["[" * 20_000 + "]" * 20_000, "[a|" * 5_000 + "]" * 5_000, "[" * 50_000, "[a]" * 10_000]
)
def test_hostile_brackets_end_quickly(text: str) -> None:
    started = time.process_time()
    prompt_schedule(text, 50)
    assert time.process_time() - started < 10

from __future__ import annotations

import time

import pytest

from swarm.prompt.weights import WeightedSpan, weighted_spans


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("", [("", 1.0)]),
        ("a cat", [("a cat", 1.0)]),
        ("a (cat) x", [("a ", 1.0), ("cat", 1.1), (" x", 1.0)]),
        ("((cat))", [("cat", 1.1 * 1.1)]),
        ("(cat:1.3)", [("cat", 1.3)]),
        ("(a (b:0.5) c:1.3)", [("a ", 1.3), ("b", 0.5), (" c", 1.3)]),
        ("((a:1.2))", [("a", 1.2)]),
        ("((a):1.5)", [("a", 1.5 * 1.1)]),
        ("(a:-0.5)", [("a", -0.5)]),
        ("(a:b)", [("a:b", 1.1)]),
        ("(:1.3)", [(":1.3", 1.1)]),
        (r"\(a\) (b\))", [("(a) ", 1.0), ("b)", 1.1)]),
        ("(a:nan) (a:1e9)", [("a:nan", 1.1), (" ", 1.0), ("a", 100.0)]),
        ("(red:1.0)dish", [("red", 1.0), ("dish", 1.0)]),
        ("(a:99999)", [("a", 100.0)]),
        ("()", [("", 1.0)]),
    ],
)
def test_emphasis_becomes_weights(text: str, spans: list[tuple[str, float]]) -> None:
    assert weighted_spans(text) == [WeightedSpan(piece, weight) for piece, weight in spans]


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("(a", [("(a", 1.0)]),
        ("(a (b:1.2) c", [("(a (b:1.2) c", 1.0)]),
        ("(a (b)", [("a ", 1.1), ("(b", 1.1)]),
        ("a) (b", [("a) (b", 1.0)]),
        (":) a (cat:1.3)", [(":) a (cat:1.3)", 1.0)]),
        ("a) ((b))", [("a) (", 1.0), ("b", 1.1), (")", 1.0)]),
    ],
)
def test_parentheses_without_a_partner_make_text_of_what_follows(text: str, spans: list[tuple[str, float]]) -> None:
    assert weighted_spans(text) == [WeightedSpan(piece, weight) for piece, weight in spans]


@pytest.mark.parametrize(
    "text", ["(" * 200_000, "(" * 100_000 + ")" * 100_000, ")(" * 100_000, "(a:" * 60_000 + "1)" * 60_000]
)
def test_hostile_nesting_ends_quickly(text: str) -> None:
    started = time.process_time()
    assert all(abs(span.weight) <= 100 for span in weighted_spans(text))
    assert time.process_time() - started < 5

"""How JSON values become a handler's arguments (swarm-core 1.6)."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.api.binding import BadHandler, Long, arguments_of, as_text, bind
from swarm.api.route import ApiSocket, Body, Call, JsonObject, route
from swarm.base.errors import BadInput


@route("Everything")
async def everything(
    call: Call,
    text: str = "none",
    small: int = 1,
    big: Long = Long(2),  # noqa: B008 - a NewType
    number: float = 0.5,
    truth: bool = False,
    names: list[str] = [],  # noqa: B006 - never changed
    maybe: str | None = None,
) -> JsonObject:
    """One of each."""
    return {}


ARGUMENTS = arguments_of(everything)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("text", 5, "5"), ("text", 5.0, "5"), ("text", 0.5, "0.5"), ("text", True, "True"), ("text", None, ""),
        ("text", {"a": [1]}, '{\n  "a": [\n    1\n  ]\n}'), ("text", [], "[]"), ("text", "\u0000", "\u0000"),
        ("small", "5", 5), ("small", 5.0, 5), ("small", " +5\t", 5), ("small", "-2147483648", -2147483648),
        ("big", 2**63 - 1, 2**63 - 1), ("big", "-9223372036854775808", -(2**63)),
        ("number", "1,234.5", 1234.5), ("number", "-.5e1", -5.0), ("number", 3, 3.0), ("number", "Infinity", math.inf),
        ("truth", "TRUE ", True), ("truth", False, False),
        ("names", ["a", 1, None, [True]], ["a", "1", "", "[\n  true\n]"]), ("names", "a", []), ("names", None, []),
        ("maybe", None, ""), ("maybe", "x", "x"),
    ],
)  # fmt: skip
def test_what_fits(key: str, value: Any, expected: object) -> None:
    assert bind(ARGUMENTS, {key: value, "unknown": 1}) == {key: expected}


@pytest.mark.parametrize(
    ("key", "value", "text", "kind"),
    [
        ("small", "5.0", "5.0", "Int32"), ("small", 0.5, "0.5", "Int32"), ("small", 2**31, "2147483648", "Int32"),
        ("small", None, "", "Int32"), ("small", "٣", "٣", "Int32"), ("small", "1_0", "1_0", "Int32"),
        ("big", 2**63, "9223372036854775808", "Int64"), ("big", "9" * 5000, "9" * 5000, "Int64"),
        ("number", "x", "x", "Double"), ("number", "1_0", "1_0", "Double"), ("number", "", "", "Double"),
        ("truth", 1, "1", "Boolean"), ("truth", "yes", "yes", "Boolean"), ("truth", None, "", "Boolean"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(key: str, value: Any, text: str, kind: str) -> None:
    with pytest.raises(BadInput) as raised:
        bind(ARGUMENTS, {key: value})
    assert raised.value.sentence == f"Invalid value '{text}' for parameter '{key}', must be type '{kind}'"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from([argument.name for argument in ARGUMENTS]), JSON)
def test_any_json_binds_or_is_refused_with_a_sentence(key: str, value: Any) -> None:
    try:
        bind(ARGUMENTS, {key: value})
    except BadInput as refusal:
        assert key in refusal.sentence


@given(st.integers(-(10**14), 10**14))
def test_whole_numbers_have_no_fraction_in_text(number: int) -> None:
    assert as_text(float(number)) == as_text(number) == str(number)


def test_keys_match_exactly_and_the_first_failure_counts() -> None:
    @route("Two")
    async def two(call: Call, a: int, b: int) -> JsonObject:
        """Two numbers."""
        return {}

    with pytest.raises(BadInput, match=r"^Missing required parameter 'a'$"):
        bind(arguments_of(two), {"A": 1, "b": "x"})
    with pytest.raises(BadInput, match="Invalid value 'x' for parameter 'a'"):
        bind(arguments_of(two), {"a": "x", "b": "x"})


def test_the_whole_body_comes_without_the_session() -> None:
    @route("Raw")
    async def raw(call: Call, images: int, body: Body) -> JsonObject:
        """The whole body."""
        return {}

    bound = bind(arguments_of(raw), {"session_id": "x", "images": 2, "prompt": "a cat"})
    assert bound == {"images": 2, "body": {"images": 2, "prompt": "a cat"}}


def test_handlers_that_cannot_be_bound_stop_the_start() -> None:
    @route("NoCall")
    async def no_call(limit: int) -> JsonObject:
        """Forgot the call."""
        return {}

    @route("NoSocket", websocket=True)
    async def no_socket(call: Call, limit: int) -> JsonObject:
        """Forgot the socket."""
        return {}

    @route("Odd")
    async def odd(call: Call, when: complex) -> JsonObject:
        """Wants something odd."""
        return {}

    @route("Fine", websocket=True)
    async def fine(call: Call, socket: ApiSocket, limit: int) -> None:
        """As it should be."""

    for wrong in (no_call, no_socket, odd):
        with pytest.raises(BadHandler, match=wrong.name):
            arguments_of(wrong)
    assert [argument.name for argument in arguments_of(fine)] == ["limit"]

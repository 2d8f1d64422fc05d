from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.params.numbers import number_text, parse_decimal, parse_integer


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7.0, "7"),
        (7.5, "7.5"),
        (0.25, "0.25"),
        (-0.0, "0"),
        (16384.0, "16384"),
        (2**63 - 1, "9.223372036854776E+18"),
        (1e15, "1E+15"),
        (123456789012345.0, "123456789012345"),
        (0.0001, "0.0001"),
        (1e-5, "1E-05"),
        (-1.5e-7, "-1.5E-07"),
    ],
)
def test_numbers_are_written_as_the_wire_writes_them(value: float, text: str) -> None:
    assert number_text(value) == text


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_reads_back_from_its_text(value: float) -> None:
    assert parse_decimal(number_text(value)) == value


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "1e999", "", " ", "1.2.3", "0x10", "١", "1_000", "--1", "e5", "."]
)
def test_what_is_not_a_finite_decimal_is_refused(text: str) -> None:
    assert parse_decimal(text) is None


@pytest.mark.parametrize(
    ("text", "value"), [("1,000.5", 1000.5), (" -3 ", -3.0), ("1e3", 1000.0), (".5", 0.5), ("5.", 5.0)]
)
def test_commas_exponents_and_spaces_are_understood(text: str, value: float) -> None:
    assert parse_decimal(text) == value


@pytest.mark.parametrize("text", ["1.0", "", "9223372036854775808", "1e3", "abc", "1 2", "٣", "9" * 50])
def test_what_is_not_a_64_bit_integer_is_refused(text: str) -> None:
    assert parse_integer(text) is None


def test_signs_and_spaces_around_integers_are_understood() -> None:
    assert [parse_integer(text) for text in (" 12\n", "+5", "-7", "007")] == [12, 5, -7, 7]

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.base.errors import BadInput
from swarm.base.json import JsonObject, dumps, loads
from swarm.media.image import Picture
from swarm.params.codec import decode_input, encode_input
from swarm.params.input import GenerationInput

PICTURES = st.builds(
    Picture, data=st.binary(max_size=20), mime=st.just("image/png"), path=st.none() | st.just("inputs/a.png")
)
VALUES = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8")),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.text(alphabet=st.characters(codec="utf-8"))).map(tuple),
    PICTURES,
    st.lists(PICTURES).map(tuple),
)


def sent(header: JsonObject) -> JsonObject:
    """The header after a trip through JSON."""
    arrived = loads(dumps(header))
    assert isinstance(arrived, dict)
    return arrived


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=6))
def test_an_input_survives_the_trip_with_types_and_order(values: dict[str, object]) -> None:
    input = GenerationInput(values, {"note": ["a", 1]})
    header, blobs = encode_input(input)
    again = decode_input(sent(header), blobs)
    assert again == input
    assert list(again) == list(input)
    assert [type(value) for value in again.values.values()] == [type(value) for value in values.values()]


def test_pictures_travel_as_blobs() -> None:
    header, blobs = encode_input(GenerationInput({"a": Picture(data=b"\x00\xff", mime="image/png")}))
    assert blobs == [b"\x00\xff"]
    assert header == {"values": {"a": {"blob": 0, "mime": "image/png", "path": None}}, "extra": {}}


@pytest.mark.parametrize(
    "header", [{}, {"values": 3, "extra": {}}, {"values": {"a": {"blob": 9, "mime": "", "path": ""}}, "extra": {}}]
)
def test_what_does_not_belong_together_is_refused(header: JsonObject) -> None:
    with pytest.raises(BadInput):
        decode_input(header, [])

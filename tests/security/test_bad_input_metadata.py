"""Metadata inside pictures: what is written is read again whatever it says, and what is damaged harms nobody."""

from __future__ import annotations

import io
import json
import os
import random
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from swarm.base.errors import BadInput
from swarm.media.embedded import read_metadata
from swarm.media.formats import encode
from swarm.media.image import Pixels
from swarm.params.kinds import Boolean, Decimal, Dropdown, Integer, Text
from swarm.params.metadata import metadata_text, parse_metadata
from swarm.params.param import Param
from tests.conftest import Serve, World
from tests.params.fixed_choices import CHOICES, PARAMS, parsed

EXAMPLES = int(os.environ.get("SWARM_METADATA_EXAMPLES", "150"))
FORMATS = ("PNG", "JPG", "WEBP")
SQUARE = Pixels(width=8, height=8, mode="RGB", data=bytes(range(192)))
TEXTS = st.text(alphabet=st.characters(codec="utf-8")).filter(lambda text: "{value}" not in text)
_LIMITS = 2**53


def values_of(param: Param[Any]) -> st.SearchStrategy[Any] | None:
    """Values that a request may give a parameter; None for kinds that stand for files and models."""
    match param:
        case Integer():
            is_bounded = bool(param.min or param.max)
            return st.integers(param.min, param.max) if is_bounded else st.integers(-_LIMITS, _LIMITS)
        case Decimal():
            is_bounded = bool(param.min or param.max)
            low, high = (param.min, param.max) if is_bounded else (-1e9, 1e9)
            return st.floats(low, high, allow_nan=False)
        case Boolean():
            return st.booleans()
        case Dropdown():
            options = [value for value, _ in param.options(CHOICES) or ()]
            return st.sampled_from(options) if options else None
        case Text(clean=None):
            return TEXTS
    return None


@cache
def requests() -> st.SearchStrategy[dict[str, Any]]:
    """Requests that set any of all the parameters there are."""
    found = {id: values_of(param) for id, param in PARAMS.params.items() if not param.hide_from_metadata}
    return st.fixed_dictionaries({}, optional={id: values for id, values in found.items() if values is not None})


@pytest.mark.case("I15")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=requests(), format_id=st.sampled_from(FORMATS))
def test_any_request_survives_the_way_through_a_picture(raw: dict[str, Any], format_id: str) -> None:
    input = parsed(raw)
    text = metadata_text(input, PARAMS, extra={"date": "2026-08-01"}, models=[], version="1.0")
    file = encode(SQUARE, format_id, metadata=text).data
    assert read_metadata(io.BytesIO(file)) == text
    again = parsed(parse_metadata(text).params)
    assert again == input


@pytest.mark.case("I15")
def test_the_property_covers_what_there_is() -> None:
    covered = [id for id, param in PARAMS.params.items() if values_of(param) is not None]
    assert len(covered) > 100


def picture(format_id: str) -> bytes:
    text = metadata_text(
        parsed({"prompt": "a caf\u00e9 <img src=x>", "steps": 5, "seed": 2**62}),
        PARAMS,
        extra={"date": "2026-08-01"},
        models=[],
        version="1",
    )
    return encode(SQUARE, format_id, metadata=text).data


PICTURES = {format_id: picture(format_id) for format_id in FORMATS}
CHANGES = st.lists(
    st.tuples(st.integers(0, 10**6), st.sampled_from(["flip", "cut", "double", "insert"]), st.binary(max_size=9))
)


def damaged(data: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    for place, kind, piece in changes:
        at = place % (len(data) + 1)
        match kind:
            case "flip":
                data = data[:at] + bytes(byte ^ 0xFF for byte in data[at : at + 1]) + data[at + 1 :]
            case "cut":
                data = data[:at]
            case "double":
                data = data[:at] + data[at : at + 40] + data[at:]
            case _:
                data = data[:at] + piece + data[at:]
    return data


@pytest.mark.case("I14")
@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(format_id=st.sampled_from(FORMATS), changes=CHANGES)
def test_damaged_pictures_read_as_text_or_nothing(format_id: str, changes: list[tuple[int, str, bytes]]) -> None:
    data = damaged(PICTURES[format_id], changes)
    text = read_metadata(io.BytesIO(data))
    assert text is None or len(text) <= 2 * len(data) + 4 * 1024 * 1024
    if text is not None:
        understand(text)


@pytest.mark.case("I14")
@settings(max_examples=4 * EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    start=st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe1", b"RIFF\xff\0\0\0WEBP"]),
    rest=st.binary(max_size=200),
)
def test_bytes_that_only_begin_as_a_picture_harm_nobody(start: bytes, rest: bytes) -> None:
    text = read_metadata(io.BytesIO(start + rest))
    assert text is None or isinstance(text, str)


@pytest.mark.case("I14")
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(allow_nan=False), TEXTS),
        lambda inner: st.one_of(st.lists(inner), st.dictionaries(TEXTS, inner)),
    )
)
def test_metadata_of_any_shape_is_understood_or_refused(value: Any) -> None:
    for body in (value, {"sui_image_params": value}, {"sui_image_params": {"prompt": value, "steps": value}}):
        try:
            text = json.dumps(body, allow_nan=False)
        except ValueError:
            assume(False)
        understand(text)


def understand(text: str) -> None:
    """As reuse does it: read what it says, and ask for it again. Only sentences may come of it."""
    try:
        parsed(parse_metadata(text).params)
    except BadInput as error:
        assert error.sentence


@pytest.mark.case("I14")
def test_a_folder_of_damaged_pictures_is_listed(world: World, serve: Serve) -> None:
    """Through the running server: the history, previews, starring and deleting."""
    rng = random.Random(5)
    folder = world.outputs / "local"
    folder.mkdir(parents=True)
    kinds = ["flip", "cut", "double", "insert"]
    for number in range(150):
        format_id = FORMATS[number % 3]
        changes = [(rng.randrange(10**6), rng.choice(kinds), rng.randbytes(5)) for _ in range(rng.randrange(1, 6))]
        path = folder / f"{number:03}.{format_id.lower()}"
        path.write_bytes(damaged(PICTURES[format_id], changes))
    client = serve()
    for _ in range(2):
        files = client.post("ListImages", path="", depth=2)["files"]
        assert len(files) == 150
        assert all(file["metadata"] is None or isinstance(file["metadata"], str) for file in files)
    for file in files[::10]:
        assert client.http.get(f"/View/local/{file['src']}?preview=true").status_code == 200
        assert isinstance(client.post("ToggleImageStarred", path=file["src"])["new_state"], bool)
        assert client.post("DeleteImage", path=file["src"]) == {"success": True}

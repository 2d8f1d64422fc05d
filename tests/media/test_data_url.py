"""data: URLs and the wire's words for times."""

from __future__ import annotations

import pytest

from swarm.base.clock import date_text, duration_text
from swarm.base.data_url import make_data_url, parse_data_url
from swarm.base.errors import BadInput


def test_what_is_made_can_be_read() -> None:
    assert parse_data_url(make_data_url("image/png", b"\x00\xff")) == ("image/png", b"\x00\xff")
    assert parse_data_url("DATA:Image/PNG;charset=x;Base64,AAAA\n") == ("image/png", b"\0\0\0")


@pytest.mark.parametrize(
    "text",
    [
        *("", "data:", "data:,", "data:image/png;base64,", "data:image/png;base64,A", "data:image/png,AAAA"),
        *("data:image/png;base64,data:image/png;base64,AAAA", "data:image/png;base64,é", "/etc/passwd", "file:///x"),
        *("http://example.com/x.png", "javascript:alert(1)", "data:image/png;base64,AA\0A"),
    ],
)
def test_everything_else_is_a_sentence(text: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_data_url(text)
    assert caught.value.sentence


def test_durations_and_dates() -> None:
    assert duration_text(4.844) == "4.84 sec"
    assert duration_text(120) == "120.00 sec"
    assert duration_text(150) == "2.50 min"
    assert len(date_text(0)) == 10

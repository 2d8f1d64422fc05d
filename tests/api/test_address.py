"""Whose attempts are counted together, and how a caller is noted (swarm-core 2.8)."""

from __future__ import annotations

import pytest

from swarm.api.address import counted_address, source_address


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    return {"client": (peer, 5), "headers": [(b"x-forwarded-for", line.encode()) for line in forwarded]}


@pytest.mark.parametrize(
    ("forwarded", "counted"),
    [((), "10.0.0.1"), (("1.1.1.1, 2.2.2.2",), "2.2.2.2"), (("6.6.6.6", "2.2.2.2"), "2.2.2.2"), ((" ",), "10.0.0.1")],
)
def test_only_what_a_trusted_proxy_added_counts(forwarded: tuple[str, ...], counted: str) -> None:
    assert counted_address(scope("10.0.0.1", *forwarded), "10.0.0.9, 10.0.0.1") == counted
    assert counted_address(scope("10.0.0.1", *forwarded), "10.0.0.9") == "10.0.0.1"
    assert counted_address(scope("10.0.0.1", *forwarded), "") == "10.0.0.1"


def test_records_name_the_way_a_call_took() -> None:
    assert source_address(scope("10.0.0.1", "1.1.1.1<script>", "2.2.2.2"), 1) == "10.0.0.1 (via 1.1.1.1script)"
    assert source_address({"client": None, "headers": []}, 3) == "unknown"

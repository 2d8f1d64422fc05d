"""Who is taken for the owner of the machine, and what counts as a login token (swarm-core 2.1)."""

from __future__ import annotations

import pytest

from swarm.accounts.door import is_this_machine, token_texts

HERE = {"host": "localhost:7801"}


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.9.1"])
@pytest.mark.parametrize("host", ["localhost", "localhost:7801", "127.0.0.1:7801", "[::1]:7801", "LOCALHOST"])
def test_programs_on_the_machine(peer: str, host: str) -> None:
    assert is_this_machine({"host": host}, peer)


@pytest.mark.parametrize(
    ("headers", "peer"),
    [
        (HERE, "192.0.2.1"),
        (HERE, "unknown"),
        ({}, "127.0.0.1"),
        ({"host": "swarm.example.org"}, "127.0.0.1"),
        ({"host": "127.0.0.1.example.org"}, "127.0.0.1"),
        ({"host": "localhost.example.org:80"}, "127.0.0.1"),
        ({**HERE, "x-forwarded-for": "192.0.2.1"}, "127.0.0.1"),
        ({**HERE, "x-forwarded-for": ""}, "127.0.0.1"),
        ({**HERE, "forwarded": "for=192.0.2.1"}, "127.0.0.1"),
        ({**HERE, "via": "1.1 proxy"}, "127.0.0.1"),
    ],
)
def test_everyone_else(headers: dict[str, str], peer: str) -> None:
    assert not is_this_machine(headers, peer)


def test_tokens_come_as_cookies_and_as_bearers() -> None:
    headers = {"cookie": "a=b; swarm_token=one.two.three; swarm_token=; c", "authorization": "Bearer four"}
    assert list(token_texts(headers)) == ["one.two.three", "four"]
    assert list(token_texts({"cookie": "xswarm_token=no", "authorization": "Basic Zm9v"})) == []

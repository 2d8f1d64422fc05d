"""Windows in which attempts are counted (swarm-core 2.6)."""

from __future__ import annotations

import pytest

from swarm.accounts.limits import Attempts, LoginLimits, network_of
from swarm.accounts.names import RESERVED, clean_name


class Clock:
    """A clock the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_window_begins_with_the_first_attempt_and_ends_a_minute_later() -> None:
    clock = Clock()
    attempts = Attempts(2, clock)
    assert [attempts.count("a") for _ in range(3)] == [True, True, False]
    clock.now += 60
    assert not attempts.count("a") and attempts.count("b")
    clock.now += 1
    assert attempts.count("a")
    clock.now -= 86_400  # a clock that was set back must not shut anyone out for a day
    assert attempts.count("b") and attempts.count("a")


def test_many_addresses_share_the_limit_of_a_name() -> None:
    limits = LoginLimits(Clock())
    assert [limits.count(f"10.0.0.{number}", "anna") for number in range(17)] == [True] * 15 + [False] * 2
    assert [limits.count("10.0.1.1", f"name{number}") for number in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "nonsense"),
    ],
)
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert network_of(address) == counted


@pytest.mark.parametrize(
    ("typed", "name"), [("Anna_1", "anna_1"), ("an na!", "anna"), ("\u0430dmin", "dmin"), ("\uff41b\u0661", "b")]
)
def test_names_are_plain(typed: str, name: str) -> None:
    assert clean_name(typed) == name
    assert {"local", "owner", "root"} <= RESERVED

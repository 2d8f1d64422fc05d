"""A server ends when it is asked to, or when nobody controls it any more."""

from __future__ import annotations

import anyio
import pytest

from swarm.base.clock import ago_text
from swarm.base.errors import Refused
from swarm.base.stopping import Stopping


@pytest.mark.anyio
async def test_silence_ends_a_server_that_wants_control() -> None:
    asked: list[bool] = []
    now = [0.0]
    stopping = Stopping(asked.append, lambda: now[0], control_minutes=0.0002)
    now[0] = 1.0
    await stopping.watch_control()
    assert stopping.is_asked and not asked
    await anyio.sleep(0.7)
    assert asked == [False]


@pytest.mark.anyio
async def test_without_that_wish_nothing_is_watched() -> None:
    stopping = Stopping(None, lambda: 0.0)
    await stopping.watch_control()
    with pytest.raises(Refused, match="only that can restart it"):
        stopping.ask(restart=True)


def test_how_long_ago() -> None:
    cases = {0.0: "0 seconds", 0.5: "0 milliseconds", 12.5: "12 seconds", 65: "1 minute and 5 seconds", 7200: "2 hours"}
    assert {seconds: ago_text(seconds) for seconds in cases} == {key: f"{text} ago" for key, text in cases.items()}
    assert ago_text(3 * 86400 + 4 * 3600 + 59) == "3 days and 4 hours ago"

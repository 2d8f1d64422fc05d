"""Lines stay lines, and the latest are kept."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from swarm.base.logs import LogBuffer, set_up_logging


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    logger = logging.getLogger()
    handlers, level = list(logger.handlers), logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def test_a_message_cannot_forge_a_line(root: logging.Logger, capsys: pytest.CaptureFixture[str]) -> None:
    buffer = set_up_logging("Info")
    root.info("first\nsecond \x1b[31m")
    root.debug("too quiet")
    assert capsys.readouterr().err.endswith("[INFO] first\\nsecond \\x1b[31m\n")
    assert [line.text for line in buffer.lines()] == ["first\nsecond \x1b[31m"]


def test_the_buffer_keeps_the_latest_in_order() -> None:
    buffer = LogBuffer()
    for number in range(2000):
        buffer.handle(logging.LogRecord("x", logging.INFO, "", 0, f"{number}", None, None))
    kept = buffer.lines()
    assert (len(kept), kept[0].text, kept[-1].sequence) == (1024, "976", 2000)
    assert [line.text for line in buffer.lines(after=1998)] == ["1998", "1999"]

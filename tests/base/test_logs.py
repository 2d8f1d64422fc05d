"""Lines stay lines, and the latest are kept."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from swarm.base.errors import BadInput
from swarm.base.log_file import LogFile, log_path
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


@pytest.mark.case("T66")
@pytest.mark.parametrize("json_lines", [False, True])
def test_tracebacks_have_no_secrets(root: logging.Logger, capsys: pytest.CaptureFixture[str], json_lines: bool) -> None:
    buffer = set_up_logging("Info", json_lines=json_lines)
    said = {"newPassword": "a long walk home", "key": "sk-0123456789", "prompt": "a cat"}
    token = f"616c696365.{'0' * 32}.{'a' * 32}"
    try:
        raise RuntimeError(f"cannot go on with {said} from {token}")
    except RuntimeError:
        root.exception("It failed with swarm_token=%s", token)
    (line,) = buffer.lines()
    for text in (capsys.readouterr().err, line.text):
        assert "a cat" in text and "RuntimeError" in text
        assert not any(secret in text for secret in ("walk home", "sk-01", "0" * 32, "a" * 32))


def test_the_buffer_keeps_the_latest_in_order() -> None:
    buffer = LogBuffer()
    for number in range(2000):
        buffer.handle(logging.LogRecord("x", logging.INFO, "", 0, f"{number}", None, None))
    kept = buffer.lines()
    assert (len(kept), kept[0].text, kept[-1].sequence) == (1024, "976", 2000)
    assert [line.text for line in buffer.lines(after=1998)] == ["1998", "1999"]


def test_the_file_of_a_run_lies_below_the_data(tmp_path: Path) -> None:
    now = datetime(2026, 1, 31, 18, 5, 7)
    path = log_path(tmp_path, "Logs/[year]-[month]/[day]-[hour]-[minute]-[pid].[odd].log", now, 12)
    assert path == tmp_path / "Logs" / "2026-01" / "31-18-05-12.[odd].log"
    for template in ("../x.log", " ", "/etc/x.log"):
        with pytest.raises(BadInput):
            log_path(tmp_path / "Data", template, now, 12)


def test_lines_in_a_file_have_times_levels_and_no_secrets(tmp_path: Path) -> None:
    handler = LogFile(tmp_path / "deep" / "x.log", "Info")
    logger = logging.getLogger("swarm.test_file")
    logger.addHandler(handler)
    try:
        logger.setLevel(logging.DEBUG)
        logger.debug("too little")
        logger.warning("password=hunter22 is %s", "said")
    finally:
        logger.removeHandler(handler)
        handler.close()
    (line,) = (tmp_path / "deep" / "x.log").read_text().splitlines()
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3} \[Warning\] password=<secret> is said", line)

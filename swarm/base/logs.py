"""Logging: one line format for the console, and the latest lines kept in memory for whoever wants to look."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

VERBOSE = 5
INIT = 25
LEVELS = ("Verbose", "Debug", "Info", "Init", "Warning", "Error")
"""The kinds of line there are, least important first, as people see them (swarm-core 9.2)."""

_KEPT_LINES = 1024
_OWN_LOGGERS = ("swarm", "extensions")
_LEVELS = {
    "verbose": VERBOSE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "init": INIT,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "none": logging.CRITICAL + 1,
}
_BREAKS = str.maketrans({"\r": "\\r", "\n": "\\n", "\x1b": "\\x1b", "\x00": "\\0"})
_NAMES = r"(?:password|passwd|secret|token|api[_-]?key|authorization|session_?id)"
_SECRETS = (
    (re.compile(r"\b[0-9a-fA-F]{2,900}\.[0-9a-f]{32}\.[0-9a-f]{32}\b"), "<secret>"),  # login tokens
    (re.compile(r"\b[0-9A-Fa-f]{40}\b"), "<secret>"),  # session ids
    (  # in what was an object: {'oldPassword': 'a long walk home'}
        re.compile(rf"""((?:{_NAMES}|["']key)["']\s*:\s*)(["'])(?:\\.|(?!\2).){{1,10000}}\2""", re.IGNORECASE),
        r"\1\2<secret>\2",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", re.IGNORECASE), r"\1 <secret>"),
    (
        re.compile(
            rf"""({_NAMES}["']?\s*[=:]\s*["']?)"""
            r"""(?!<secret>|bearer\b|basic\b)[^\s"',;&]{4,}""",
            re.IGNORECASE,
        ),
        r"\1<secret>",
    ),
)


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line as it was logged, without secrets. `sequence`: 1, 2, 3 … over all lines since the start.

    `time`: unix seconds. `level`: one of LEVELS.
    """

    sequence: int
    time: float
    level: str
    text: str


def redacted(text: str) -> str:
    """`text` without session ids, and without what follows words such as `password=`."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def one_line(text: str) -> str:
    """A message that stays on its line and moves no cursor, whatever a caller put into it."""
    return text.translate(_BREAKS)


class LogBuffer(logging.Handler):
    """Keeps the latest 1024 lines of each level."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._last = 0
        self._lines: dict[str, deque[LogLine]] = {level: deque(maxlen=_KEPT_LINES) for level in LEVELS}
        self._writing = threading.Lock()
        self._traces = logging.Formatter()

    @property
    def last_sequence(self) -> int:
        """The number of the latest line; 0 before the first."""
        return self._last

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging for each line. A traceback becomes part of its line."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + self._traces.formatException(record.exc_info)
        text, level = redacted(text), level_name(record.levelno)
        with self._writing:
            self._last = next(self._numbers)
            self._lines[level].append(LogLine(sequence=self._last, time=record.created, level=level, text=text))

    def lines(self, after: int = 0, *, least: str = LEVELS[0]) -> Sequence[LogLine]:
        """Lines with a sequence above `after` of at least a level, oldest first. Raises ValueError: no such level."""
        with self._writing:
            found = [line for level in LEVELS[LEVELS.index(least) :] for line in self._lines[level]]
        return sorted((line for line in found if line.sequence > after), key=lambda line: line.sequence)

    def lines_of(self, level: str, after: int = 0) -> Sequence[LogLine]:
        """Lines of exactly one level with a sequence above `after`, oldest first. Raises KeyError: no such level."""
        with self._writing:
            return [line for line in self._lines[level] if line.sequence > after]


class _OneLine(logging.Formatter):
    """A message stays on its line, whatever a caller put into it; tracebacks keep their own lines. No secrets."""

    def formatException(self, ei: Any) -> str:
        return redacted(super().formatException(ei))

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(redacted(record.message))
        return super().formatMessage(record)


def level_name(number: int) -> str:
    """The most important of our levels that `number` reaches."""
    reached = [level for level in LEVELS if number >= _LEVELS[level.lower()]]
    return reached[-1] if reached else LEVELS[0]


def level_of(name: str) -> int:
    """The number of a level as settings and flags spell it (`Info`, `verbose` …). Raises KeyError."""
    return _LEVELS[name.lower()]


class JsonLine(logging.Formatter):
    """A line as one JSON object: `time` (UTC), `level`, `logger`, `message`, and `trace` where an error has one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": level_name(record.levelno),
            "logger": record.name,
            "message": redacted(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["trace"] = redacted(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def set_up_logging(level: str, *, json_lines: bool = False) -> LogBuffer:
    """Send all lines of at least `level` to standard error; returns the buffer, which keeps all of our own lines."""
    logging.addLevelName(VERBOSE, "VERBOSE")
    logging.addLevelName(INIT, "INIT")
    console = _Console()
    text = _OneLine("{asctime} [{levelname}] {message}", "%H:%M:%S", style="{")
    console.setFormatter(JsonLine() if json_lines else text)
    buffer = LogBuffer()
    logging.getLogger().handlers[:] = [console, buffer]
    for name in _OWN_LOGGERS:
        logging.getLogger(name).setLevel(VERBOSE)
    show_level(level)
    return buffer


class _Console(logging.StreamHandler):  # type: ignore[type-arg]  # generic for type checkers only
    """What `set_up_logging` has put up; other programs' handlers keep their levels."""


def show_level(level: str) -> None:
    """Show lines of at least `level` from now on; other libraries do not even make lesser ones. Raises KeyError."""
    root, number = logging.getLogger(), level_of(level)
    consoles = [handler for handler in root.handlers if isinstance(handler, _Console)]
    for console in consoles:
        console.setLevel(number)
    if consoles:
        root.setLevel(number)

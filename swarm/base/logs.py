"""Logging: one line format for the console, and the latest lines kept in memory for whoever wants to look."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

VERBOSE = 5
INIT = 25
_KEPT_LINES = 1024
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


@dataclass(frozen=True, kw_only=True)
class LogLine:
    """One line as it was logged. `sequence`: 1, 2, 3 … over all lines since the start; `time`: unix seconds."""

    sequence: int
    time: float
    level: str
    text: str


class LogBuffer(logging.Handler):
    """Keeps the latest 1024 lines."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._lines: deque[LogLine] = deque(maxlen=_KEPT_LINES)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging for each line."""
        line = LogLine(
            sequence=next(self._numbers), time=record.created, level=record.levelname, text=record.getMessage()
        )
        self._lines.append(line)

    def lines(self, after: int = 0) -> Sequence[LogLine]:
        """Lines with a sequence above `after`, oldest first."""
        return [line for line in list(self._lines) if line.sequence > after]


class _OneLine(logging.Formatter):
    """A message stays on its line whatever a caller put into it; tracebacks keep their own lines."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = record.message.translate(_BREAKS)
        return super().formatMessage(record)


def level_of(name: str) -> int:
    """The number of a level as settings and flags spell it (`Info`, `verbose` …). Raises KeyError."""
    return _LEVELS[name.lower()]


def set_up_logging(level: str) -> LogBuffer:
    """Send all lines of at least `level` to standard error; returns the buffer that keeps them."""
    logging.addLevelName(VERBOSE, "VERBOSE")
    logging.addLevelName(INIT, "INIT")
    console = logging.StreamHandler()
    console.setFormatter(_OneLine("{asctime} [{levelname}] {message}", "%H:%M:%S", style="{"))
    buffer = LogBuffer()
    root = logging.getLogger()
    root.handlers[:] = [console, buffer]
    root.setLevel(level_of(level))
    return buffer

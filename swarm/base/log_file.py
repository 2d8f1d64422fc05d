"""The log as a file, for those who want one (swarm-core 9.2): `HH:MM:SS.fff [Level] message`, without secrets."""

from __future__ import annotations

import logging
import re
from datetime import datetime
from pathlib import Path

from swarm.base.errors import BadInput
from swarm.base.logs import level_name, level_of, one_line, redacted
from swarm.base.paths import under

_TAG = re.compile(r"\[([a-z_]+)\]")


def log_path(data_dir: Path, template: str, now: datetime, pid: int) -> Path:
    """Where the log of a run goes. Raises BadInput for a path out of the data folder.

    Tags: year, month, month_name, day, day_name, hour, minute, second, pid.
    """
    values = {
        "year": f"{now:%Y}",
        "month": f"{now:%m}",
        "month_name": f"{now:%B}",
        "day": f"{now:%d}",
        "day_name": f"{now:%A}",
        "hour": f"{now:%H}",
        "minute": f"{now:%M}",
        "second": f"{now:%S}",
        "pid": str(pid),
    }
    relative = _TAG.sub(lambda found: values.get(found[1], found[0]), template.strip())
    if not relative:
        raise BadInput("Logs.LogsPath is empty.")
    return Path(under(data_dir, relative))


class LogFile(logging.FileHandler):
    """Writes lines of at least `level`. A disk that takes none is no reason to fail: the line is lost."""

    def __init__(self, path: Path, level: str) -> None:
        """Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        super().__init__(path, encoding="utf-8", errors="replace")
        self.setLevel(level_of(level))
        self.setFormatter(_Line())

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: saying so would be a line in the log."""


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = one_line(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + self.formatException(record.exc_info)
        time = datetime.fromtimestamp(record.created)
        return f"{time:%H:%M:%S}.{time.microsecond // 1000:03} [{level_name(record.levelno)}] {redacted(text)}"

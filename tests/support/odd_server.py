"""`python -m swarm` in odd circumstances: with another folder of extensions, or with a clock that jumps.

    python -m tests.support.odd_server <flags of the server>

`ODD_EXTENSIONS` is the folder. `ODD_CLOCK` is a file with the seconds by which the clock of the system is wrong; it is
read again at every look, so that a test can move the clock while the server runs. What counts seconds is not touched.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

_right = time.time


def wrong_clock(file: Path) -> None:
    """From now on, in modules that are imported later too, the clock is wrong by what the file says."""

    def wrong() -> float:
        return _right() + float(file.read_text(encoding="utf-8") or 0)

    class WrongDateTime(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return cls.fromtimestamp(wrong(), tz)

    time.time = wrong
    datetime.datetime = WrongDateTime  # type: ignore[misc]


def main() -> int:
    if "ODD_CLOCK" in os.environ:
        wrong_clock(Path(os.environ["ODD_CLOCK"]))
    from swarm import cli  # after the clock, which modules take hold of when they are imported

    found = cli.parse_options

    def with_extensions(*given: Any) -> Any:
        options, settings = found(*given)
        return replace(options, extensions_dir=Path(os.environ["ODD_EXTENSIONS"])), settings

    if "ODD_EXTENSIONS" in os.environ:
        vars(cli)["parse_options"] = with_extensions
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())

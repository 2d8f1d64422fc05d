"""What the confined children that look into videos have in common: one open file to read, one to write, no rights."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import IO

import av

from swarm.engine.apart.confine import confine

NOTHING = 2
"""The exit code where the video has nothing of the kind."""
_MEMORY = 2 * 1024**3
_LARGEST = 512 * 1024**2


def run_confined(
    program: str,
    description: str | None,
    rehearse: Callable[[], None],
    extract: Callable[[IO[bytes], IO[bytes]], bool],
    *,
    seconds: int,
) -> int:
    """Run `extract(source, target)` on the files that the command line numbers, in `seconds` of time; the exit code.

    `rehearse()`: has everything loaded that is needed, for once confined this process opens no files.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=description)
    parser.add_argument("source", type=int, help="number of the open file to read")
    parser.add_argument("target", type=int, help="number of the open file to write")
    given = parser.parse_args()
    rehearse()
    confine(memory=_MEMORY, file_size=_LARGEST, seconds=seconds)
    with os.fdopen(given.source, "rb") as source, os.fdopen(given.target, "wb") as target:
        try:
            return 0 if extract(source, target) else NOTHING
        except (av.FFmpegError, ValueError, EOFError):
            return NOTHING

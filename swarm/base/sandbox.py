"""A child process for work on files that nobody vouches for: few rights, bounded, and ended in time.

The parent opens the files and hands them over; the child (see `engine/apart/confine.py`) gives up the rest before it
looks into them. Knows nothing of the work: it names a module and passes arguments.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import swarm

_ROOT = Path(swarm.__file__).resolve().parents[1]
_LONGEST_ANSWER = 4000
_ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1", "HOME": "/"}


@dataclass(frozen=True, kw_only=True)
class SandboxResult:
    """How the child ended. `said`: what it wrote to its standard output, for people. `code` is 0 when all went well."""

    code: int
    said: str


def run_confined(module: str, arguments: Sequence[str], *, files: Sequence[int], seconds: float) -> SandboxResult:
    """Run `python -m module` with these open files and nothing else of this process. Blocking. Raises TimeoutError."""
    child = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=_ROOT,
        env=None if sys.platform == "win32" else _ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=tuple(files),
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError from None
    finally:
        _end(child)
    return SandboxResult(code=child.returncode, said=said[:_LONGEST_ANSWER].decode("utf-8", "replace").strip())


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it has started."""
    if hasattr(os, "killpg"):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
    child.communicate()

"""`python -m tests.check`: everything that checks the code, with a summary. Exit code 0 only when all of it passed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One command and what it is called in the summary."""

    name: str
    command: tuple[str, ...]
    needs: str = sys.executable


def _python(name: str, *arguments: str) -> Check:
    return Check(name=name, command=(sys.executable, "-m", *arguments))


def checks() -> Iterator[Check]:
    """All checks, the quick ones first. Python tests run one folder at a time, so that a failure is found by name."""
    yield _python("format", "ruff", "format", "--check", ".")
    yield _python("lint", "ruff", "check", ".")
    yield _python("types", "mypy")
    for folder in sorted(path for path in (ROOT / "tests").iterdir() if any(path.rglob("test_*.py"))):
        yield _python(f"tests/{folder.name}", "pytest", str(folder.relative_to(ROOT)))
    scripts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "js").rglob("*.test.js"))
    if scripts:
        yield Check(name="tests/js", command=("node", "--test", *scripts), needs="node")


def run(check: Check) -> tuple[bool, float]:
    """Run one check, its output going to the terminal; whether it passed, and how many seconds it took."""
    started = time.monotonic()
    sys.stdout.write(f"\n==== {check.name} ====\n")
    sys.stdout.flush()
    if shutil.which(check.needs) is None:
        sys.stdout.write(f"{check.needs} is not installed.\n")
        return False, 0.0
    # One thread for torch: the checks compare numbers, and small models are not faster with more.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    code = subprocess.run(check.command, cwd=ROOT, env=environment, check=False).returncode
    return code == 0, time.monotonic() - started


def main(arguments: Sequence[str]) -> int:
    """Run the checks whose names contain one of the given words, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only checks whose name contains one of these")
    words = parser.parse_args(arguments).words
    chosen = [check for check in checks() if not words or any(word in check.name for word in words)]
    results = [(check, *run(check)) for check in chosen]
    sys.stdout.write("\n==== summary ====\n")
    for check, passed, seconds in results:
        sys.stdout.write(f"{'ok  ' if passed else 'FAIL'}  {seconds:7.1f} s  {check.name}\n")
    failed = sum(not passed for _, passed, _ in results)
    sys.stdout.write("All checks passed.\n" if not failed else f"{failed} of {len(results)} checks failed.\n")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

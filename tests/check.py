"""`python -m tests.check`: everything that checks the code, with a summary. Exit code 0 only when all of it passed."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
AT_ONCE = 2
"""Checks that run at the same time at most: most of them wait for a server now and then."""
LONG = ("tests/engine", "tests/wire", "tests/faults", "tests/security", "tests/browser", "tests/backends", "types")
"""The longest first."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One command and what it is called in the summary."""

    name: str
    command: tuple[str, ...]
    needs: str = sys.executable


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a check went."""

    check: Check
    passed: bool
    seconds: float
    output: str


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


def run(check: Check) -> Result:
    """Run one check. Its output is printed whole when it is over, since others run at the same time."""
    if shutil.which(check.needs) is None:
        return Result(check=check, passed=False, seconds=0.0, output=f"{check.needs} is not installed.\n")
    started = time.monotonic()
    # One thread for torch: the checks compare numbers, and small models are not faster with more.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
    done = subprocess.run(
        check.command, cwd=ROOT, env=environment, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    seconds = time.monotonic() - started
    return Result(
        check=check, passed=done.returncode == 0, seconds=seconds, output=done.stdout.decode("utf-8", "replace")
    )


def _told(result: Result) -> Result:
    sys.stdout.write(f"\n==== {result.check.name} ====\n{result.output}")
    sys.stdout.flush()
    return result


def main(arguments: Sequence[str]) -> int:
    """Run the checks whose names contain one of the given words, or all of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.check", description=__doc__)
    parser.add_argument("words", nargs="*", help="run only checks whose name contains one of these")
    parser.add_argument("--at-once", type=int, default=min(AT_ONCE, os.cpu_count() or 1), help="how many at a time")
    options = parser.parse_args(arguments)
    words = options.words
    chosen = [check for check in checks() if not words or any(word in check.name for word in words)]
    # The long ones begin first, so that the last to end is not one of them.
    chosen.sort(key=lambda check: LONG.index(check.name) if check.name in LONG else len(LONG))
    with ThreadPoolExecutor(max(1, options.at_once)) as pool:
        running = [pool.submit(run, check) for check in chosen]
        results = [_told(done.result()) for done in as_completed(running)]
    sys.stdout.write("\n==== summary ====\n")
    for result in sorted(results, key=lambda result: result.check.name):
        outcome = "ok  " if result.passed else "FAIL"
        sys.stdout.write(f"{outcome}  {result.seconds:7.1f} s  {result.check.name}\n")
    failed = sum(not result.passed for result in results)
    sys.stdout.write("All checks passed.\n" if not failed else f"{failed} of {len(results)} checks failed.\n")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

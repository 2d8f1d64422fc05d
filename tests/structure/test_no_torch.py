"""The web process never imports torch."""

from __future__ import annotations

import subprocess
import sys

from tests.structure.sources import ROOT

PROGRAM = """
import sys
import swarm.app, swarm.cli, swarm.ext
heavy = {"torch", "diffusers", "transformers", "scipy"} & set(sys.modules)
print(",".join(sorted(heavy)) or "light")
"""


def test_importing_the_app_imports_no_torch() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "light"), done.stderr

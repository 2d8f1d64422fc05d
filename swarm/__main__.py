"""`python -m swarm`."""

from __future__ import annotations

import sys

from swarm.cli import main


def run() -> int:
    """Run the program; a Python without the libraries is told where they are. Returns the exit code."""
    try:
        return main(sys.argv[1:])
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] == "swarm":
            raise
        sys.stderr.write(
            f"This Python ({sys.executable}) has no '{missing.name}', which Swarm needs. `python3 launch.py` takes "
            "the same words and brings its own.\n"
        )
        return 1


if __name__ == "__main__":
    sys.exit(run())

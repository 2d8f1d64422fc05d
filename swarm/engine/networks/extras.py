"""How the libraries come in that only some networks need."""

from __future__ import annotations


def wanted(extra: str) -> str:
    """The end of a sentence that says what is missing."""
    return (
        f"the extra '{extra}', which whoever runs the server installs in its folder: "
        f".venv/bin/python -m pip install --editable '.[{extra}]'"
    )

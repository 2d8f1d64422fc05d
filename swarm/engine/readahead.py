"""Has the system read files into its cache, in the background, before they are loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def read_ahead(paths: Iterable[Path]) -> None:
    """Ask for model files (or the weights in model folders) to be cached. Costs nothing; says nothing if it fails."""
    if not hasattr(os, "posix_fadvise"):
        return
    for path in paths:
        for file in sorted(path.rglob("*.safetensors")) if path.is_dir() else [path]:
            try:
                with file.open("rb") as opened:
                    os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_WILLNEED)
            except OSError:
                continue

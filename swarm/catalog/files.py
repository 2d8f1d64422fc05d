"""Folders of the catalog that have become empty."""

from __future__ import annotations

from pathlib import Path


def remove_empty_folders(folder: Path, top: Path) -> None:
    """Remove `folder` and those above it while they are empty; never `top` or what is not below it."""
    while folder != top and folder.is_relative_to(top):
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent

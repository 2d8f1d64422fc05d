"""Puts the shipped starter model where models live, once. From then on it is a model like any other: seen by the scan,
loaded by the loader, deleted by whoever deletes it (and then it stays deleted)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

SHIPPED: Mapping[str, str] = {
    "postcards.safetensors": "Stable-Diffusion/Swarm/postcards.safetensors",
    "postcards.jpg": "Stable-Diffusion/Swarm/postcards.jpg",
    "postcards-pencil.safetensors": "Lora/Swarm/postcards-pencil.safetensors",
}
"""File in the shipped folder, and its place below the models folder."""


def place_starter(shipped: Path, models: Path, marker: Path) -> list[Path]:
    """Copy the shipped files below `models`, each once ever: `marker` lists what was placed before.

    Returns what was placed now. Files that are not shipped (a source checkout without them) are passed over.
    """
    placed_before = set(marker.read_text(encoding="utf-8").split("\n")) if marker.is_file() else set()
    placed: list[Path] = []
    for name, place in SHIPPED.items():
        source, target = shipped / name, models / place
        if name in placed_before or not source.is_file():
            continue
        if not target.exists():
            _copy(source, target)
            placed.append(target)
        placed_before.add(name)
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text("\n".join(sorted(placed_before - {""})), encoding="utf-8")
    return placed


def _copy(source: Path, target: Path) -> None:
    """Whole or not at all: a start that is killed half-way leaves no half model."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    shutil.copyfile(source, partial)
    os.replace(partial, target)  # noqa: PTH105 - replace by name, on purpose the atomic call

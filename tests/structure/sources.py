"""The program's own source files, parsed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "swarm"


@dataclass(frozen=True)
class Source:
    """One Python file. `module`: its dotted name; `name`: its path below the repository."""

    path: Path
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def module(self) -> str:
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    @property
    def lines(self) -> int:
        return len(self.path.read_text("utf-8").splitlines())


@cache
def sources(folder: Path = PACKAGE) -> tuple[Source, ...]:
    """Every Python file below `folder`, by name."""
    return tuple(Source(path, ast.parse(path.read_text("utf-8"))) for path in sorted(folder.rglob("*.py")))


def imported(source: Source) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything a file imports anywhere, `TYPE_CHECKING` blocks included.

    `from a.b import c` counts as `a.b.c`, because c may be a module.
    """
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)

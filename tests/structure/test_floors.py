"""Packages stand on floors and import strictly downward."""

from __future__ import annotations

import ast

import pytest

from tests.structure.sources import ROOT, Source, imported, sources

FLOORS = {
    **dict.fromkeys(["base"], 0),
    **dict.fromkeys(["access", "media", "prompt", "diffusion", "settings", "extend"], 1),
    **dict.fromkeys(["architectures", "params"], 2),
    **dict.fromkeys(["jobs"], 3),
    **dict.fromkeys(["features"], 4),
    **dict.fromkeys(["accounts", "catalog", "outputs", "queue"], 5),
    **dict.fromkeys(["backends", "engine"], 6),
    **dict.fromkeys(["generation"], 7),
    **dict.fromkeys(["state"], 8),
    **dict.fromkeys(["api", "web"], 9),
    **dict.fromkeys(
        [
            *("ext", "app", "cli", "commands", "declarations", "devices", "exposure", "listening"),
            *("lock", "owner", "patience", "serve", "starter", "stores", "__main__"),
        ],
        10,
    ),
}
"""Floor of each package. The loader of extensions needs only `base`, so that the engine can use it, too;
an architecture names the sigma table of `diffusion` that it was trained with, so it stands above."""

ENGINE_SEES = 4
"""The engine runs in a process of its own: it shares what crosses to it, no stores and no server."""

COMPOSITION = 10
"""On the top floor the composition root may use its neighbours."""


def package_of(module: str) -> str | None:
    """`base` for `swarm.base.errors`; None for what is not ours, and for `swarm` itself."""
    parts = module.split(".")
    return parts[1] if parts[0] == "swarm" and len(parts) > 1 and parts[1] in FLOORS else None


def complaints(source: Source) -> list[str]:
    """Every import of a file that does not go down."""
    own = package_of(source.module)
    if own is None:
        return []
    found = []
    for line, name in imported(source):
        other = package_of(name)
        if other is None or other == own:
            continue
        highest = ENGINE_SEES if own == "engine" else FLOORS[own] - 1
        if own == "app" or (FLOORS[own] == COMPOSITION and other != "engine"):
            highest = COMPOSITION
        if FLOORS[other] > highest or other == "engine":
            found.append(f"{source.name}:{line} ({own}, floor {FLOORS[own]}) imports {name} (floor {FLOORS[other]})")
    return found


def test_every_package_has_a_floor() -> None:
    unknown = {source.module for source in sources() if source.module != "swarm" and package_of(source.module) is None}
    assert not unknown


def test_imports_go_down() -> None:
    found = [complaint for source in sources() for complaint in complaints(source)]
    assert not found, "\n".join(found)


def test_an_import_upward_would_be_found() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from swarm.params import param\n"
    wrong = Source(ROOT / "swarm" / "base" / "errors.py", ast.parse(text))
    assert len(complaints(wrong)) == 1


def test_files_of_a_package_do_not_import_each_other_in_circles() -> None:
    known = {source.module for source in sources()}
    edges = {
        source.module: {
            target
            for _, name in imported(source)
            for target in (name, name.rpartition(".")[0])
            if target in known and target != source.module and package_of(target) == package_of(source.module)
        }
        for source in sources()
        if not source.path.name.startswith("__init__")
    }
    while leaves := [module for module, targets in edges.items() if not targets & edges.keys()]:
        for leaf in leaves:
            del edges[leaf]
    assert not edges, f"These modules import each other in a circle: {sorted(edges)}"


EXTENSION_FILES = sources(ROOT / "extensions")


@pytest.mark.parametrize("source", EXTENSION_FILES, ids=[source.name for source in EXTENSION_FILES])
def test_extensions_import_nothing_but_the_extension_api(source: Source) -> None:
    own = ".".join(source.module.split(".")[:2])
    names = [name for _, name in imported(source) if name.split(".")[0] in ("swarm", "extensions")]
    assert all(name.startswith(("swarm.ext.", f"{own}.")) for name in names), names

"""Where imports, broad catches and global state may stand."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.structure.sources import Source, imported, sources
from tests.structure.test_floors import FLOORS, package_of

TORCH_LIKE = ("torch", "diffusers", "transformers", "accelerate", "peft", "safetensors", "tokenizers")
BROAD_CATCHES = (
    "swarm/api/dispatch.py",
    "swarm/backends/guard.py",
    "swarm/engine/",
    "swarm/extend/load.py",
    "swarm/generation/",
)
LATE_IMPORTS = ("swarm/cli.py", "swarm/engine/__main__.py")
AMBIENT = {"time.time", "time.time_ns", "os.environ", "os.getenv", "pathlib.Path.cwd", "random.random", "random.seed"}


def inner_imports(source: Source) -> Iterator[tuple[int, str]]:
    """Imports inside functions."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.Import):
                    yield inner.lineno, inner.names[0].name
                elif isinstance(inner, ast.ImportFrom):
                    yield inner.lineno, inner.module or ""


def test_torch_lives_in_the_engine() -> None:
    """Features may import it inside their stage functions."""
    wrong = []
    for source in sources():
        inner = set(inner_imports(source))
        for line, name in imported(source):
            home = package_of(source.module)
            in_stage = home == "features" and any(line == at for at, _ in inner)
            if name.split(".")[0] in TORCH_LIKE and home != "engine" and not in_stage:
                wrong.append(f"{source.name}:{line} imports {name}")
    assert not wrong


def test_imports_stand_at_the_top() -> None:
    wrong = [
        f"{source.name}:{line} imports {name} inside a function"
        for source in sources()
        if not source.name.startswith(LATE_IMPORTS)
        for line, name in inner_imports(source)
        if name.split(".")[0] not in TORCH_LIKE
    ]
    assert not wrong


def test_everything_is_caught_at_the_edges_only() -> None:
    wrong = []
    for source in sources():
        for node in ast.walk(source.tree):
            broad = isinstance(node, ast.ExceptHandler) and (
                node.type is None
                or "Exception" in {each.id for each in ast.walk(node.type) if isinstance(each, ast.Name)}
            )
            if broad and not source.name.startswith(BROAD_CATCHES):
                wrong.append(f"{source.name}:{getattr(node, 'lineno', 0)}")
    assert not wrong


def test_time_chance_and_places_are_arguments_below_the_composition() -> None:
    wrong = []
    for source in sources():
        floor = FLOORS.get(package_of(source.module) or "", 10)
        if floor >= 8 or package_of(source.module) == "engine":
            continue
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                name = f"{node.value.id}.{node.attr}"
                if name in AMBIENT or name == "Path.cwd":
                    wrong.append(f"{source.name}:{node.lineno} uses {name}")
    assert not wrong


def test_tests_use_no_mocks() -> None:
    folder = sources()[0].path.parents[1] / "tests"
    wrong = [source.name for source in sources(folder) for _, name in imported(source) if "mock" in name.split(".")]
    assert not wrong

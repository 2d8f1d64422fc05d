"""Every case of the list has a test that carries its mark, and every mark is a case of the list."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.security.cases import CASES, NOT_RUN

TESTS = Path(__file__).resolve().parents[1]


def marks(tree: ast.AST) -> Iterator[str]:
    """The ids of every `pytest.mark.case(...)` in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.case":
            for given in node.args:
                assert isinstance(given, ast.Constant) and isinstance(given.value, str), "ids are written out"
                yield given.value


def carried() -> dict[str, list[str]]:
    """Case id -> the test files that carry it."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        if "mark.case(" in text:
            for case in marks(ast.parse(text)):
                found[case].append(path.name)
    return found


def test_every_case_has_a_test() -> None:
    found = carried()
    missing = {case: what for case, what in CASES.items() if case not in found and case not in NOT_RUN}
    assert missing == {}
    assert set(found) - set(CASES) == set()


def test_exceptions_are_cases_without_a_test() -> None:
    assert set(NOT_RUN) <= set(CASES)
    assert set(NOT_RUN) & set(carried()) == set()

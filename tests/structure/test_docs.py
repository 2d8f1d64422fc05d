"""The generated pages say what the declarations say."""

from __future__ import annotations

import pytest

from tools.generate_docs import DOCS, pages


@pytest.mark.parametrize("name", ["routes.md", "params.md", "prompt-syntax.md", "samplers.md"])
def test_generated_pages_are_up_to_date(name: str) -> None:
    stored = (DOCS / name).read_text("utf-8")
    assert stored == pages()[name], "Run: python -m tools.generate_docs"

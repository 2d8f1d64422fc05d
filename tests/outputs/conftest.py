from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.outputs.support import Shelves, open_shelves


@pytest.fixture
def shelves(tmp_path: Path) -> Iterator[Shelves]:
    made = open_shelves(tmp_path)
    yield made
    made.database.close()

"""One engine for all pictures, and the model files both programs read."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, bench, shared
from tests.parity.recorded import write_sd, write_xl

__all__ = ["bench", "shared"]


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    """The tiny SD 1.x and SDXL files by family."""
    folder = tmp_path_factory.mktemp("models")
    written = {SD: write_sd(folder), XL: write_xl(folder)}
    return {family: ModelFile(name=path.name, path=path, family=family, stamp="1") for family, path in written.items()}

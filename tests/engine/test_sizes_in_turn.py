"""The same prompts at one size, then at another: nothing that is kept between calls may belong to the first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, model
from tests.wire.test_families import BARE

pytestmark = pytest.mark.torch
SAID: dict[str, Any] = {"prompt": "a red fox in deep snow", "negativeprompt": "fog", "steps": 2, "cfgscale": 3.0}


@pytest.mark.parametrize("name", BARE)
def test_two_sizes_in_turn(name: str, fresh: Bench, tmp_path: Path) -> None:
    family = BARE[name]
    file = model(family, family.make(tmp_path, layout="bare"))
    told = {**SAID, "parts": companions(family, tmp_path)}
    first = fresh.picture(file, **told, width=64, height=128)
    other = fresh.picture(file, **told, width=128, height=128)
    assert other.shape == (128, 128, 3)
    torch.testing.assert_close(fresh.picture(file, **told, width=64, height=128), first, atol=1.0, rtol=0.0)

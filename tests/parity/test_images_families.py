"""Init images, masks and refining with other families: flow models, predictions of v, models made for inpainting."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from tests.engine.conftest import Bench
from tests.parity.models_families import MAKERS, Written
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference
from tests.parity.test_images import INIT, LARGER, MASKED, REFINED, SEED, SOFT

pytestmark = pytest.mark.torch

SETTINGS = {
    "prompt": "a red fox in the snow",
    "negativeprompt": "blurry",
    "steps": 6,
    "cfgscale": 4.0,
    "scheduler": "simple",
}
CASES: dict[str, dict[str, Any]] = {
    "flow, init with noise and reset": {"model": "sd3", **INIT, "initimagenoise": 0.4, "initimageresettonorm": 0.3},
    "flow, mask in steps": {"model": "flux dev", "cfgscale": 1.0, **SOFT},
    "flow, area": {"model": "sd3", **MASKED, "maskshrinkgrow": 8},
    "flow, larger by bislerp": {
        "model": "flux dev",
        "cfgscale": 1.0,
        **LARGER,
        "refinerupscalemethod": "latent-bislerp",
    },
    "flow, mask, refined": {"model": "sd3", **SOFT, **REFINED},
    "flow, filled": {"model": "flux fill", "cfgscale": 1.0, **SOFT, "initimagecreativity": 0.8},
    "inpainting, mask": {"model": "sd inpaint", **SOFT, "maskblur": 4},
    "inpainting, xl, area": {"model": "xl inpaint", **MASKED, "maskshrinkgrow": 8},
    "inpainting, no mask": {"model": "sd inpaint", **INIT},
    "v, mask in steps": {"model": "xl v", **SOFT},
    "v, larger": {"model": "sd2 v", **LARGER, "refinerupscalemethod": "pixel-lanczos"},
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("images_families")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Written]:
    folder = tmp_path_factory.mktemp("families")
    return {name: MAKERS[name](folder) for name in {case["model"] for case in CASES.values()}}


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_swarmuis(bench: Bench, written: Mapping[str, Written], case: str) -> None:
    values = {**SETTINGS, **CASES[case]}
    model = written[values.pop("model")]
    found = bench.picture(model.file, SEED, parts=dict(model.parts), modelspecificenhancements=False, **values)
    wanted = recorded()[case]
    assert wanted.std() > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC

"""Every sampler and schedule of the recorded release draws ComfyUI's picture."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.parity.recorded import DETERMINISTIC, SAME_DRAW, expected, largest_difference, psnr

pytestmark = pytest.mark.torch

SETTINGS = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 8, "cfgscale": 6.0, "seed": 7}
SAMPLERS = [
    "euler",
    "euler_cfg_pp",
    "euler_ancestral",
    "euler_ancestral_cfg_pp",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpm_2_ancestral",
    "lms",
    "dpm_fast",
    "dpm_adaptive",
    "dpmpp_2s_ancestral",
    "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde",
    "dpmpp_2m",
    "dpmpp_2m_cfg_pp",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "ddpm",
    "lcm",
    "ipndm",
    "ipndm_v",
    "deis",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
]
SCHEDULES = ["normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta", "linear_quadratic"]
DRAWING = ("ancestral", "sde", "ddpm", "lcm")
CASES: dict[str, dict[str, Any]] = {
    **{f"sd {sampler}": {"family": SD, "sampler": sampler, "scheduler": "normal"} for sampler in SAMPLERS},
    **{f"sd {schedule}": {"family": SD, "sampler": "euler", "scheduler": schedule} for schedule in SCHEDULES},
    **{
        f"xl {name}": {"family": XL, "sampler": name, "scheduler": "karras"} for name in ("dpmpp_2m", "euler_ancestral")
    },
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("samplers")


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_comfyuis(bench: Bench, files: Mapping[str, ModelFile], case: str) -> None:
    values = {**SETTINGS, **CASES[case]}
    seed, family = values.pop("seed"), values.pop("family")
    found = bench.picture(files[family], seed, modelspecificenhancements=False, **values)
    wanted = recorded()[case]
    assert wanted.std() > 10
    if any(word in values["sampler"] for word in DRAWING):
        assert psnr(found, wanted) >= SAME_DRAW
    else:
        assert largest_difference(found, wanted) <= DETERMINISTIC

"""Samplers and schedules of later releases, and what a request may say about the walk.

The pictures and numbers were made with the functions of ComfyUI's and SwarmUI's sources of 2026, within the release
that made the others.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from swarm.base.registry import collect
from swarm.diffusion import schedules
from swarm.diffusion.schedule import Schedule, ScheduleOptions
from swarm.diffusion.sigmas import SigmaTable
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, XL, Bench
from tests.parity.models_families import MAKERS, Written
from tests.parity.recorded import DETERMINISTIC, EXPECTED, SAME_DRAW, expected, largest_difference, psnr, write_xl

pytestmark = pytest.mark.torch

SETTINGS = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 8, "cfgscale": 6.0, "seed": 7}
SAMPLERS = [
    "res_multistep",
    "res_multistep_ancestral",
    "res_multistep_cfg_pp",
    "res_multistep_ancestral_cfg_pp",
    "gradient_estimation",
    "gradient_estimation_cfg_pp",
    "er_sde",
    "seeds_2",
    "seeds_3",
    "sa_solver",
    "sa_solver_pece",
    "exp_heun_2_x0",
    "exp_heun_2_x0_sde",
    "dpmpp_2m_sde_heun",
]
RANGE = {"scheduler": "karras", "samplersigmamin": 0.1, "samplersigmamax": 9.0, "samplerrho": 5.0}
CASES: dict[str, dict[str, Any]] = {
    **{f"sd {sampler}": {"family": SD, "sampler": sampler, "scheduler": "normal"} for sampler in SAMPLERS},
    "sd two steps": {"family": SD, "sampler": "er_sde", "scheduler": "sgm_uniform", "steps": 2},
    "sd cfg 1": {"family": SD, "sampler": "dpmpp_2s_ancestral_cfg_pp", "scheduler": "karras", "cfgscale": 1.0},
    "sd kl_optimal": {"family": SD, "sampler": "dpm_2", "scheduler": "kl_optimal"},
    "sd turbo": {"family": SD, "sampler": "euler", "scheduler": "turbo"},
    "sd align_your_steps": {"family": SD, "sampler": "uni_pc", "scheduler": "align_your_steps"},
    "xl align_your_steps": {"family": XL, "sampler": "euler", "scheduler": "align_your_steps"},
    "xl sa_solver": {"family": XL, "sampler": "sa_solver", "scheduler": "simple"},
    "sd range": {"family": SD, "sampler": "dpm_2", **RANGE},
    "sd range, uni_pc": {"family": SD, "sampler": "uni_pc", **RANGE},
    "sd rho alone": {"family": SD, "sampler": "euler", "scheduler": "karras", "samplerrho": 5.0},
    "sd end early": {"family": SD, "sampler": "dpmpp_2m", "scheduler": "normal", "endstepsearly": 0.4},
    "sd variation": {"family": SD, "sampler": "euler_ancestral", "scheduler": "normal", "variation": (99, 0.35)},
}
FLOW_CASES: dict[str, dict[str, Any]] = {
    "sd3 uni_pc": {"sampler": "uni_pc", "scheduler": "simple"},
    "sd3 sa_solver": {"sampler": "sa_solver", "scheduler": "simple", "steps": 10},
    "sd3 dpm_2_ancestral": {"sampler": "dpm_2_ancestral", "scheduler": "beta"},
    "sd3 dpmpp_2s_ancestral_cfg_pp": {"sampler": "dpmpp_2s_ancestral_cfg_pp", "scheduler": "simple", "cfgscale": 1.5},
    "sd3 dpmpp_sde": {"sampler": "dpmpp_sde", "scheduler": "normal", "steps": 4},
}
UNSAMPLED: dict[str, dict[str, Any]] = {
    "sd unsampled": {"sampler": "dpmpp_2m", "steps": 12, "initimagecreativity": 0.5, "cfgscale": 3.0},
    "sd unsampled, euler": {"sampler": "euler", "initimagecreativity": 0.75},
}
"""Init images that are walked back to noise by other words first."""
BACKWARDS = "a grey stone"
MARKS = {
    "cosxl": {"edm_vpred.sigma_max": torch.tensor(120.0), "edm_vpred.sigma_min": torch.tensor(0.002)},
    "playground": {"edm_mean": torch.zeros(4), "edm_std": torch.ones(4)},
}
"""Tensors that say of a checkpoint that its noise levels are continuous."""
EDM_CASES: dict[str, dict[str, Any]] = {
    "cosxl": {"sampler": "dpmpp_2m", "scheduler": "normal"},
    "cosxl sa_solver": {"sampler": "sa_solver", "scheduler": "sgm_uniform"},
    "playground": {"sampler": "euler", "scheduler": "karras"},
    "playground er_sde": {"sampler": "er_sde", "scheduler": "simple"},
}
DRAWING = ("ancestral", "sde", "seeds", "sa_solver")
SPACES = {
    "beta schedule": SigmaTable.scaled_linear(),
    "zero terminal": SigmaTable.scaled_linear(zero_snr=True),
    "flow 3": SigmaTable.flow(3.0),
    "flux": SigmaTable.flow(exp(1.15), 10_000),
    "edm": SigmaTable.edm(),
}
TUNED = {"beta schedule": "", "flux": "flux-1"}
"""The spaces that schedules of one family's levels were recorded for, with its compat class."""


def write_edm(folder: Path, mark: str) -> Path:
    """The tiny SDXL, marked."""
    path = folder / f"{mark}.safetensors"
    save_file({**load_file(write_xl(folder)), **MARKS[mark]}, path)
    return path


@cache
def recorded() -> Mapping[str, Any]:
    return expected("samplers_newer")


@cache
def recorded_sigmas() -> dict[str, list[float]]:
    """By "<space> <schedule> <steps>"."""
    numbers: dict[str, list[float]] = json.loads((EXPECTED / "sigmas.json").read_text())
    return numbers


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_comfyuis(bench: Bench, files: Mapping[str, ModelFile], case: str) -> None:
    values = {**SETTINGS, **CASES[case]}
    seed, family = values.pop("seed"), values.pop("family")
    if "variation" in values:
        second, values["variationseedstrength"] = values.pop("variation")
        values["variation_seeds"] = (second,)
    compare(bench.picture(files[family], seed, modelspecificenhancements=False, **values), case, values["sampler"])


@pytest.mark.parametrize("case", EDM_CASES)
def test_models_with_continuous_noise_levels_draw_comfyuis_picture(bench: Bench, tmp_path: Path, case: str) -> None:
    values = {**SETTINGS, **EDM_CASES[case]}
    path = write_edm(tmp_path, case.split()[0])
    file = ModelFile(name=path.name, path=path, family=XL, stamp=case)
    found = bench.picture(file, values.pop("seed"), modelspecificenhancements=False, **values)
    compare(found, case, values["sampler"])


@pytest.fixture(scope="module")
def flow_model(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return MAKERS["sd3"](tmp_path_factory.mktemp("flow"))


@pytest.mark.parametrize("case", FLOW_CASES)
def test_flow_models_draw_comfyuis_picture(bench: Bench, flow_model: Written, case: str) -> None:
    values = {**SETTINGS, **FLOW_CASES[case]}
    found = bench.picture(flow_model.file, values.pop("seed"), parts=dict(flow_model.parts), **values)
    compare(found, case, values["sampler"])


@pytest.mark.parametrize("case", UNSAMPLED)
def test_an_unsampled_picture_is_swarmuis(bench: Bench, files: Mapping[str, ModelFile], case: str) -> None:
    values = {**SETTINGS, "scheduler": "normal", **UNSAMPLED[case]}
    data = io.BytesIO()
    Image.fromarray(gradient()).save(data, "PNG")
    picture = Picture(data=data.getvalue(), mime="image/png")
    found = bench.picture(files[SD], values.pop("seed"), initimage=picture, unsamplerprompt=BACKWARDS, **values)
    compare(found, case, values["sampler"])


def gradient() -> Any:
    """A picture (64, 64, 3) of uint8 that is different everywhere."""
    down, across = np.mgrid[0:64, 0:64] * 4
    return np.stack([across, down, 255 - (across + down) // 2], axis=-1).astype(np.uint8)


def compare(found: Any, case: str, sampler: str) -> None:
    wanted = recorded()[case]
    assert wanted.std() > 10
    if any(word in sampler for word in DRAWING):
        assert psnr(found, wanted) >= SAME_DRAW
    else:
        assert largest_difference(found, wanted) <= DETERMINISTIC


def test_the_levels_of_every_schedule_are_comfyuis() -> None:
    made = collect(schedules, Schedule)
    assert {name.rsplit(" ", 2)[1] for name in recorded_sigmas()} == set(made)
    for name, wanted in recorded_sigmas().items():
        space, schedule, steps = name.rsplit(" ", 2)
        options = ScheduleOptions(compat=TUNED.get(space, ""), cells=1024)
        found = made[schedule].sigmas(int(steps), SPACES[space], options)
        # Near a right angle, 32 bits hold the tangent of the zero-terminal table only so well.
        precision = 5e-4 if (space, schedule) == ("zero terminal", "kl_optimal") else 1e-5
        assert found == pytest.approx(wanted, rel=precision, abs=1e-6), name

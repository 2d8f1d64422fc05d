"""Samplers of every kind of noise and answer, driven by an engine on a tiny model."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch


@pytest.mark.parametrize(
    "sampler",
    [
        "euler_ancestral",
        "dpmpp_2m_sde",
        "dpmpp_sde_gpu",
        "euler_ancestral_cfg_pp",
        "dpmpp_2s_ancestral_cfg_pp",
        "dpm_adaptive",
        "sa_solver_pece",
        "uni_pc",
    ],
)
def test_a_sampler_makes_its_own_picture_again_and_again(
    bench: Bench, files: Mapping[str, ModelFile], sampler: str
) -> None:
    plain = bench.picture(files[SD], 3, steps=4)
    one = bench.picture(files[SD], 3, steps=4, sampler=sampler)
    assert torch.isfinite(one).all()
    assert not torch.equal(one, plain)
    assert torch.equal(one, bench.picture(files[SD], 3, steps=4, sampler=sampler))


def test_cfg_plus_plus_asks_the_negative_prompt_at_any_scale(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """At scale 1 other samplers would not: there, the negative prompt changes only these pictures."""
    for sampler, heeds in (("euler", False), ("euler_cfg_pp", True)):
        pictures = [
            bench.picture(files[SD], 3, steps=4, cfgscale=1.0, sampler=sampler, negativeprompt=negative)
            for negative in ("", "a storm over the sea, grey")
        ]
        assert torch.equal(*pictures) is not heeds


@pytest.mark.parametrize("scheduler", ["flux2", "ltxv-image", "ideogram4", "ltxv"])
def test_schedules_of_other_families_may_be_asked_for(
    bench: Bench, files: Mapping[str, ModelFile], scheduler: str
) -> None:
    assert torch.isfinite(bench.picture(files[SD], 3, steps=3, scheduler=scheduler)).all()

"""Regions: their words act in their place, the rest hears the global prompt."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from swarm.features.regional import GRID, region_masks
from swarm.jobs.job import ModelFile
from swarm.prompt.sections import Region
from tests.engine.conftest import SD, XL, Bench

pytestmark = pytest.mark.torch


def test_overlapping_regions_share_what_is_too_much() -> None:
    whole, half = Region(x=0, y=0, width=1, height=1), Region(x=0.5, y=0, width=0.5, height=1, strength=0.5)
    first, second = region_masks([whole, half])
    assert first[..., : GRID // 2].eq(1).all()
    assert torch.allclose(first[..., GRID // 2 :], torch.tensor(2 / 3))
    assert torch.allclose(second[..., GRID // 2 :], torch.tensor(1 / 3))
    inverted = region_masks([Region(x=0.25, y=0.25, width=0.5, height=0.5, strength=-1.0)])[0]
    assert inverted.mean() == 0.75


@pytest.mark.parametrize("family", [SD, XL])
def test_a_region_of_everything_without_global_words_is_the_plain_prompt(
    bench: Bench, files: Mapping[str, ModelFile], family: str
) -> None:
    plain = bench.picture(files[family], 3, prompt="a red house", steps=3)
    region = "a boat <region:0,0,1,1//cid=11>a red house"
    made = bench.picture(files[family], 3, prompt=region, steps=3, globalregionfactor=0.0)
    assert (made - plain).abs().max() <= 1.0
    deaf = bench.picture(files[family], 3, prompt=region, steps=3, globalregionfactor=1.0)
    assert (deaf - bench.picture(files[family], 3, prompt="a boat", steps=3)).abs().max() <= 1.0


def test_words_act_mostly_in_their_region(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    values = {"steps": 3, "cfgscale": 8.0, "width": 128, "height": 64}
    plain = bench.picture(files[SD], 3, prompt="a boat", **values)
    text = "a boat <region:0.5,0,0.5,1//cid=11> (snow:3) (night:3) (fire:3)"
    change = (bench.picture(files[SD], 3, prompt=text, globalregionfactor=0.0, **values) - plain).abs()
    assert change.max() > 1.0
    assert change[:, 64:].mean() > 1.5 * change[:, :64].mean()


def test_regions_share_calls_with_others(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    texts = ["a boat", "a boat <region:0.5,0,0.5,1//cid=11> snow", "a fox <region:background> trees"]
    alone = [bench.picture(files[SD], 3, prompt=text) for text in texts]
    ids = [bench.submit(files[SD], (3,), prompt=text) for text in texts]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_what_base_adds_is_for_the_whole_and_not_for_the_background(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    region = "<region:0.25,0,0.5,1//cid=11>a boat"
    made = bench.picture(files[SD], 3, prompt=f"a beach<base//cid=5>at (night:2){region}")
    spelled = f"a beach at (night:2){region}"
    told = bench.picture(files[SD], 3, prompt=f"{spelled}<region:background//cid=12>a beach")
    assert (made - told).abs().max() <= 1.0
    assert (made - bench.picture(files[SD], 3, prompt=spelled)).abs().max() > 1.0

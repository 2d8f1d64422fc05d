"""Unsampling: the walk back to noise and forth again, beside plain pictures from an init image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from swarm.engine.runner import Sampling
from swarm.engine.start import methods
from swarm.features.init_image import INIT_IMAGE
from swarm.features.unsampler import unsampling_pass
from swarm.jobs.events import StepDone
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench
from tests.engine.test_features import differs, picture_of

pytestmark = pytest.mark.torch
COLOUR = (190, 40, 90)


def values(**more: Any) -> dict[str, Any]:
    return {"initimage": picture_of(COLOUR), "initimagecreativity": 1.0, "cfgscale": 1.0, "prompt": "a fox", **more}


def walked(bench: Bench, of: Pass) -> tuple[torch.Tensor, torch.Tensor]:
    """The latent a walk ends with, and the clean one of the init image."""
    model = bench.models.ready(of)
    walk = Sampling(model, methods(), of)
    while walk.question is not None:
        walk.answer(model.answers(walk.rows()))
    picture = of.input.get(INIT_IMAGE)
    assert picture is not None
    assert walk.latent is not None
    tools = walk.context.tools
    return walk.latent, tools.encode_tensor(tools.image(picture, width=64, height=64))


def test_the_same_words_lead_back_and_forth_to_the_same_picture(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    """Small steps undo one another, the better the smaller they are; random noise in their place leads elsewhere."""
    off: list[float] = []
    for steps in (12, 80):
        asked = values(steps=steps, initimagecreativity=0.5, unsamplerprompt="a fox", width=64, height=64)
        base = Pass(input=GenerationInput(asked), model=files[SD], seed=1)
        up, clean = walked(bench, unsampling_pass(base))
        down, _ = walked(bench, replace(base, latent=up, adds_noise=False))
        plain, _ = walked(bench, base)
        off.append(float((down - clean).abs().mean() / (plain - clean).abs().mean()))
    assert off[1] < off[0] < 0.4
    assert off[1] < 0.2


def test_it_does_not_depend_on_the_seed_and_counts_both_walks(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    ids = [bench.submit(files[SD], (seed,), **values(steps=4, unsamplerprompt="a dog")) for seed in (1, 2)]
    bench.finish()
    one, other = (bench.pixels(id) for id in ids)
    assert (one - other).abs().max() <= 1.0
    steps = [event for event in bench.events(ids[0]) if isinstance(event, StepDone)]
    assert {event.total for event in steps} == {8}
    assert steps[-1].done == 8


@pytest.mark.parametrize("sampler", ["euler_ancestral", "dpmpp_2m", "dpm_2", "uni_pc"])
def test_every_sampler_may_lead_forth(bench: Bench, files: Mapping[str, ModelFile], sampler: str) -> None:
    made = bench.picture(files[SD], 1, **values(steps=4, sampler=sampler, cfgscale=5.0, unsamplerprompt="a dog"))
    other = bench.picture(files[SD], 1, **values(steps=4, sampler=sampler, cfgscale=5.0, unsamplerprompt="a cat"))
    assert differs(made, other)


def test_the_unmasked_part_stays(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    mask = picture_of((0, 0, 0))
    made = bench.picture(files[SD], 1, **values(steps=4, maskimage=mask, unsamplerprompt="a dog"))
    assert (made - torch.tensor(COLOUR)).abs().max() <= 1.0


def test_without_an_init_image_it_does_nothing(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 1)
    assert torch.equal(plain, bench.picture(files[SD], 1, unsamplerprompt="a dog"))
    kept = bench.picture(files[SD], 1, **values(initimagecreativity=0.0, unsamplerprompt="a dog"))
    assert torch.equal(kept, torch.tensor(COLOUR).float().expand(64, 64, 3))


def test_the_walk_back_is_unguided_and_whole(files: Mapping[str, ModelFile]) -> None:
    input = GenerationInput({"prompt": "a fox", "unsamplerprompt": "a dog", "cfgscale": 7.0, "endstepsearly": 0.5})
    base = Pass(input=input, model=files[SD], seed=1).ending(3, leaves_noise=True)
    back = unsampling_pass(base)
    assert (back.last_step, back.leaves_noise, back.adds_noise, back.climbs) == (None, False, False, True)
    assert back.input.values == {"prompt": "a dog", "unsamplerprompt": "a dog", "cfgscale": 1.0}

"""Objects: what lies in their rectangles is drawn anew, the rest stays, and one more walk joins them if asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from swarm.features.mask_images import Box
from swarm.features.objects import base_of_objects, boxes
from swarm.features.redraw import without_controls
from swarm.features.refiner import control, hand_over
from swarm.jobs.events import ImageDone, StepDone
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from swarm.prompt.sections import split_sections
from tests.engine.conftest import SD, XL, Bench

pytestmark = pytest.mark.torch
PROMPT = "a field <object:0.5,0,0.5,0.5,0.7,0.75//cid=11> a red barn"
REFINE: dict[str, Any] = {"refinermethod": "StepSwapNoisy", "refinercontrolpercentage": 0.5}


def test_only_the_rectangle_is_drawn_anew(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], (3,), prompt=PROMPT, steps=4, outputintermediateimages=True)
    bench.finish()
    before, last = (event.result for event in bench.events(id) if isinstance(event, ImageDone))
    one, other = (torch.tensor(list(result.data)).reshape(64, 64, 3) for result in (before, last))
    changed = (one - other).abs() > 1
    assert changed[:32, 32:].any()
    assert not changed[32:].any()
    assert not changed[:, :32].any()
    steps = [event for event in bench.events(id) if isinstance(event, StepDone)]
    assert (steps[-1].done, steps[-1].total) == (7, 7)


def test_an_object_without_strength_is_a_region(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    region = bench.picture(files[SD], 4, prompt="a field <region:0.5,0,0.5,0.5,0.7//cid=11> a red barn")
    assert torch.equal(bench.picture(files[SD], 3, prompt=PROMPT.replace("0.75", "0")), region)


def test_a_last_walk_goes_over_all_of_it(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    apart = bench.picture(files[SD], 3, prompt=PROMPT)
    joined = bench.picture(files[SD], 3, prompt=PROMPT, regionalobjectcleanupfactor=0.67)
    assert ((joined - apart).abs() > 1)[32:].any()
    assert torch.equal(bench.picture(files[SD], 3, prompt="a field", regionalobjectcleanupfactor=0.67),
                       bench.picture(files[SD], 3, prompt="a field"))  # fmt: skip


def test_refining_waits_for_the_last_walk(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    apart = bench.picture(files[SD], 3, prompt=PROMPT)
    assert torch.equal(bench.picture(files[SD], 3, prompt=PROMPT, **REFINE), apart)
    joined = bench.picture(files[SD], 3, prompt=PROMPT, regionalobjectcleanupfactor=0.67)
    both = bench.picture(files[SD], 3, prompt=PROMPT, regionalobjectcleanupfactor=0.67, **REFINE)
    assert ((both - joined).abs() > 1).any()
    asked = GenerationInput({"prompt": PROMPT, "steps": 4, **REFINE})
    assert control(asked) is None
    assert control(GenerationInput({**asked.values, "regionalobjectcleanupfactor": 0.5})) == 0.5
    base = Pass(input=asked, model=files[SD], seed=1)
    assert hand_over(base) is base
    assert base_of_objects(base).seed == 2


def test_another_model_may_draw_objects(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    other = replace(files[XL], width=64, height=64)
    own = bench.picture(files[SD], 3, prompt=PROMPT)
    made = bench.picture(files[SD], 3, prompt=PROMPT, files={"regionalobjectinpaintingmodel": other})
    assert ((made - own).abs() > 1).any()
    assert not ((made - own).abs() > 1)[32:].any()


def test_where_objects_are_drawn() -> None:
    (region,) = split_sections(PROMPT).regions
    assert boxes(region, 200, 100) == (Box(100, 0, 100, 50), Box(90, 0, 110, 55))
    kept = without_controls(GenerationInput({"controlnetmodel": "x", "controlnettwostrength": 1, "steps": 2}))
    assert dict(kept.values) == {"steps": 2}

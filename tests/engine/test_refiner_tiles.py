"""Refining in tiles: how they lie, and that they make one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from swarm.features.tiles import starts, tile_count
from swarm.jobs.events import ImageDone, StepDone
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
REFINE: dict[str, Any] = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.5, "steps": 4}


def test_tiles_lie_evenly_and_leave_no_gap() -> None:
    assert [tile_count(size, 96) for size in (50, 96, 97, 150, 192, 224, 288)] == [1, 1, 2, 2, 3, 3, 4]
    assert starts(96, 96) == [0]
    assert starts(150, 96) == [0, 54]
    for size in range(97, 400, 7):
        begins = starts(size, 96)
        assert begins[-1] + 96 == size
        assert all(0 < later - earlier < 96 for earlier, later in pairwise(begins))


def test_a_picture_of_one_tile_is_refined_as_ever(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    plain = bench.picture(files[SD], 3, **REFINE)
    assert torch.equal(bench.picture(files[SD], 3, **REFINE, refinerdotiling=True), plain)
    assert torch.equal(bench.picture(files[SD], 3, steps=4, refinerdotiling=True), bench.picture(files[SD], 3, steps=4))


def test_a_large_picture_is_walked_over_piece_by_piece(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    small = replace(files[SD], width=128, height=128)
    values = {**REFINE, "width": 128, "height": 128, "refinerupscale": 1.5, "refinerupscalemethod": "pixel-lanczos"}
    whole = bench.picture(small, 3, **values)
    id = bench.submit(small, (3,), **values, refinerdotiling=True)
    bench.finish()
    tiled = next(event.result for event in bench.events(id) if isinstance(event, ImageDone))
    made = torch.tensor(list(tiled.data)).reshape(192, 192, 3)
    assert (made - whole).abs().max() > 1
    steps = [event for event in bench.events(id) if isinstance(event, StepDone)]
    assert steps[-1].done == steps[-1].total
    assert all(event.overall <= 1.0 for event in steps)


def test_the_picture_before_is_handed_out_whatever_it_went_through(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    prompt = "a field <object:0.5,0,0.5,0.5,0.7,0.75//cid=11> a red barn"
    values = {**REFINE, "prompt": prompt, "regionalobjectcleanupfactor": 0.5, "outputintermediateimages": True}
    id = bench.submit(files[SD], (3,), **values)
    bench.finish()
    assert len([event for event in bench.events(id) if isinstance(event, ImageDone)]) == 4

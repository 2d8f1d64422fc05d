"""The masks of a prompt's regions beside the picture."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from swarm.jobs.events import ImageDone
from swarm.jobs.job import ModelFile
from swarm.media.image import Pixels
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
PROMPT = "a hill <region:0,0,0.5,1,0.8> a fox <region:0.5,0.5,0.5,0.5> a hen"


def handed_out(bench: Bench, id: str) -> list[torch.Tensor]:
    found = [event.result for event in bench.events(id) if isinstance(event, ImageDone) and not event.real]
    assert all(isinstance(each, Pixels) and (each.width, each.height) == (64, 64) for each in found)
    return [torch.frombuffer(bytearray(each.data), dtype=torch.uint8).reshape(64, 64, 3) for each in found]


def levels(mask: torch.Tensor) -> list[int]:
    return sorted({int(level) for level in mask.flatten().tolist()})


def test_each_region_and_what_is_left_are_handed_out(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], (1,), prompt=PROMPT, debugregionalprompting=True)
    bench.finish()
    fox, hen, rest = handed_out(bench, id)
    assert levels(fox[:, :32]) == [204]
    assert levels(fox[:, 32:]) == [0]
    assert levels(hen[32:, 32:]) == [255]
    assert int(hen.count_nonzero()) == 32 * 32 * 3
    assert levels(rest[:, :32]) == [51]
    assert levels(rest[:32, 32:]) == [255]


def test_nothing_is_handed_out_without_regions_or_unasked(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    ids = [bench.submit(files[SD], (1,), prompt=PROMPT), bench.submit(files[SD], (1,), debugregionalprompting=True)]
    bench.finish()
    assert [handed_out(bench, id) for id in ids] == [[], []]

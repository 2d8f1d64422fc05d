"""The format weights rest in, by request: another copy of the model, and never another picture than it makes alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch

from swarm.engine.device import choose_device, resting
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Pass
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
EIGHT = {"fp8_e4m3fn": torch.float8_e4m3fn, "fp8_e5m2": torch.float8_e5m2}


def asking(file: ModelFile, **values: Any) -> Pass:
    return Pass(input=GenerationInput(values), model=file, seed=1)


@pytest.mark.parametrize("kind", EIGHT)
def test_weights_rest_as_the_request_prefers(fresh: Bench, files: Mapping[str, ModelFile], kind: str) -> None:
    plain = fresh.picture(files[SD], 1)
    small = fresh.picture(files[SD], 1, preferreddtype=kind)
    assert 0 < (small - plain).abs().mean() < 40
    model = fresh.models.ready(asking(files[SD], preferreddtype=kind))
    kinds = {weight.dtype for weight in model.components.denoiser.parameters()}
    assert kinds == {EIGHT[kind], torch.float32}
    ids = [fresh.submit(files[SD], (1,)), fresh.submit(files[SD], (1,), preferreddtype=kind)]
    fresh.finish()
    assert (fresh.pixels(ids[0]) - plain).abs().max() <= 1.0
    assert (fresh.pixels(ids[1]) - small).abs().max() <= 1.0


def test_what_the_device_does_anyway_shares_its_weights(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    keys = [bench.models.key(asking(files[SD], **wish)) for wish in ({}, {"preferreddtype": "automatic"})]
    keys.append(bench.models.key(asking(files[SD], preferreddtype="default")))
    assert len(set(keys)) == 1
    eight = bench.models.key(asking(files[SD], preferreddtype="fp8_e5m2"))
    assert eight not in keys
    assert eight.base == replace(keys[0].base, store="fp8_e5m2")


def test_a_backend_of_eight_bits_can_be_asked_for_sixteen() -> None:
    device = choose_device(0, "float8")
    assert resting(device, None) is device
    assert resting(device, "fp8_e4m3fn") is device
    assert resting(device, "default").store is None
    assert resting(device, "fp8_e5m2").store is torch.float8_e5m2

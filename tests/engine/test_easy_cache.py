"""Skipped steps: fewer model calls, nearly the same picture, and no effect on anybody else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from swarm.engine.adapters.unet import UnetDenoiser
from swarm.engine.components import Row
from swarm.engine.step_cache import StepCache
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from tests.engine.conftest import SD, Bench, new_bench

pytestmark = pytest.mark.torch
ASKED: dict[str, Any] = {"steps": 12, "cfgscale": 5.0, "easycachemode": "all"}


class Counting(UnetDenoiser):
    """Counts the rows it is asked for."""

    rows = 0

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        type(self).rows += len(rows)
        return super().__call__(rows)


@pytest.fixture
def counting(files: Mapping[str, ModelFile]) -> Bench:
    with torch.inference_mode():
        bench = new_bench()
        model = bench.models.loaded(files[SD], {})
        bench.models.put_in_place(replace(model, denoiser=Counting(model.components, model.device)), {})
    return bench


def rows_of(bench: Bench, file: ModelFile, **values: object) -> tuple[int, torch.Tensor]:
    Counting.rows = 0
    with torch.inference_mode():
        picture = bench.picture(file, 3, **ASKED | values)
    return Counting.rows, picture


def test_a_higher_threshold_asks_the_network_less(counting: Bench, files: Mapping[str, ModelFile]) -> None:
    every, plain = rows_of(counting, files[SD], easycachemode="disabled")
    none, same = rows_of(counting, files[SD], easycachethreshold=0.0)
    some, near = rows_of(counting, files[SD], easycachethreshold=0.3)
    most, far = rows_of(counting, files[SD], easycachethreshold=1.0, easycachestart=0.0, easycacheend=1.0)
    assert every == none == 24
    assert most < some < every
    assert torch.equal(same, plain)
    assert 0 < (near - plain).abs().mean() <= (far - plain).abs().mean()
    assert rows_of(counting, files[SD], easycachemode="video only")[0] == 24


def test_neighbours_of_a_cached_picture_are_what_they_are_alone(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    alone = bench.picture(files[SD], 5, steps=9), bench.picture(files[SD], 3, **ASKED, easycachethreshold=0.5)
    ids = bench.submit(files[SD], (5,), steps=9), bench.submit(files[SD], (3,), **ASKED, easycachethreshold=0.5)
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_what_is_foretold_moves_with_the_input() -> None:
    cache = StepCache(0.5, 0.05, 0.9)
    x, told = torch.ones(1, 1, 2, 2), [Conditioning(tokens=None)]
    assert cache.foretold(x * 3.0, told, 0.0) is None
    cache.learn(x * 3.0, x * 20)  # before the start, so it tells nothing of the rate
    assert cache.foretold(x, told, 0.1) is None
    cache.learn(x, x * 4)
    assert cache.foretold(x * 1.1, told, 0.2) is None, "one answer tells no rate"
    cache.learn(x * 1.1, x * 4.1)
    foretold = cache.foretold(x * 1.2, told, 0.3)
    assert foretold is not None
    torch.testing.assert_close(foretold, x * 4.2)
    assert cache.foretold(x * 1.3, [Conditioning(tokens=None)], 0.4) is None, "another prompt"
    assert cache.foretold(x * 20.0, told, 0.6) is None, "too large a change"
    assert cache.foretold(x * 1.1, told, 0.9) is None, "the end"


def test_changes_are_measured_from_the_last_computed_step() -> None:
    cache = StepCache(0.25, 0.0, 1.0)
    x, told = torch.ones(1, 1, 2, 2), [Conditioning(tokens=None)]
    for number in range(2):
        assert cache.foretold(x * (1 + number), told, 0.1) is None
        cache.learn(x * (1 + number), x * (10 + number))
    # The rate is 1 and the output 11: 1/11, then 1/11 + 1/11 and at last 1/11 + 1/11 + 2/11 may be left out.
    assert cache.foretold(x * 3.0, told, 0.2) is not None
    assert cache.foretold(x * 3.0, told, 0.2) is not None
    assert cache.foretold(x * 4.0, told, 0.2) is None


class Readings(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts how often a number is read out of a tensor, which on a GPU waits for the device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_a_step_waits_for_the_device_at_most_once() -> None:
    cache = StepCache(0.5, 0.0, 1.0)
    x, told = torch.ones(1, 1, 2, 2), [Conditioning(tokens=None)]
    with Readings() as readings:
        for number in range(4):
            before = readings.count
            if cache.foretold(x * (1 + number / 10), told, 0.1) is None:
                cache.learn(x * (1 + number / 10), x * (4 + number / 10))
            assert readings.count - before == (number > 1)
    assert cache.skipped > 0

"""Sharing model calls changes nothing but the time: pictures, order, cancelling, failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch

from swarm.engine.adapters.unet import UnetDenoiser, alike
from swarm.engine.components import Row
from swarm.engine.device import Device, choose_device
from swarm.engine.memory import file_key
from swarm.jobs.events import ImageDone, LoadingModel, Preview, StepDone
from swarm.jobs.frames import Free, Freed, Load, Loaded
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning
from tests.engine.conftest import SD, XL, Bench, new_bench

pytestmark = pytest.mark.torch

MIXED: tuple[dict[str, Any], ...] = (
    {"prompt": "a fox", "steps": 3, "cfgscale": 6.0, "sampler": "euler", "scheduler": "karras"},
    {"prompt": "a boat " * 60, "steps": 5, "cfgscale": 1.0, "sampler": "heun"},
    {
        "prompt": "a (red:1.4) house <break> snow",
        "steps": 4,
        "cfgscale": 9.0,
        "sampler": "dpmpp_2m",
        "scheduler": "karras",
    },
    {"prompt": "[cat|dog] on a hill", "steps": 4, "cfgscale": 4.0, "sampler": "euler_ancestral"},
)


@pytest.mark.parametrize("family", [SD, XL])
def test_pictures_do_not_depend_on_their_company(bench: Bench, files: Mapping[str, ModelFile], family: str) -> None:
    alone = [bench.picture(files[family], seed, **values) for seed, values in enumerate(MIXED)]
    ids = [bench.submit(files[family], (seed,), **values) for seed, values in enumerate(MIXED)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    assert len({tuple(picture.flatten().tolist()) for picture in alone}) == len(alone)


def test_the_same_request_gives_the_same_bits(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    first = bench.picture(files[SD], 5, sampler="dpmpp_2m_sde")
    assert torch.equal(first, bench.picture(files[SD], 5, sampler="dpmpp_2m_sde"))
    assert not torch.equal(first, bench.picture(files[SD], 6, sampler="dpmpp_2m_sde"))


def test_a_picture_that_arrives_while_another_runs_shares_its_next_call(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    bench.picture(files[SD])
    first = bench.submit(files[SD], steps=8)
    while len([event for event in bench.events(first) if isinstance(event, StepDone)]) < 2:
        bench.turn()
    second, told = bench.submit(files[SD], steps=2), len(bench.events(first))
    while bench.batcher.running_pictures < 2:
        bench.turn()
    assert len(bench.events(first)) == told
    bench.finish()
    order = [id for id in bench.finished if id in (first, second)]
    assert order == [second, first]


def test_a_job_of_several_pictures_is_its_pictures(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], (4, 5, 6))
    bench.finish()
    for index, seed in enumerate((4, 5, 6)):
        assert (bench.pixels(id, index) - bench.picture(files[SD], seed)).abs().max() <= 1.0


def test_progress_comes_before_the_picture_and_a_preview_too(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    id = bench.submit(files[SD], steps=4)
    bench.finish()
    events = bench.events(id)
    kinds = [type(event) for event in events if not isinstance(event, LoadingModel)]
    steps = [event for event in events if isinstance(event, StepDone)]
    assert kinds[0] is StepDone
    assert kinds[-1] is ImageDone
    assert kinds.index(Preview) < kinds.index(ImageDone)
    assert [event.done for event in steps] == [1, 2, 3, 4]
    assert 0 < steps[0].overall < steps[-1].overall == 1.0
    preview = next(event for event in events if isinstance(event, Preview))
    assert preview.picture.data.startswith(b"\xff\xd8")


def test_a_cancelled_picture_stops_between_calls(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    gone, kept = bench.submit(files[SD], steps=500), bench.submit(files[SD], (2,), steps=3)
    while not bench.events(gone):
        bench.turn()
    bench.cancel(gone)
    bench.finish()
    assert not any(isinstance(event, ImageDone) for event in bench.events(gone))
    assert (bench.pixels(kept) - bench.picture(files[SD], 2, steps=3)).abs().max() <= 1.0
    assert not bench.batcher.is_busy


def test_a_broken_request_fails_alone(bench: Bench, files: Mapping[str, ModelFile]) -> None:
    good = bench.submit(files[SD])
    bad = bench.submit(files[SD], sampler="no_such_sampler")
    nameless = bench.submit(ModelFile(name="gone", path=files[SD].path.with_name("gone"), family=None, stamp="1"))
    bench.finish()
    assert bench.pixels(good) is not None
    assert bench.failure(bad).kind == "failed"
    assert bench.failure(nameless).kind == "bad_input"
    assert "gone" in bench.failure(nameless).sentence


def test_two_models_take_turns_and_both_finish(fresh: Bench, files: Mapping[str, ModelFile]) -> None:
    ids = [fresh.submit(files[family], (seed,)) for seed in range(2) for family in (SD, XL)]
    fresh.finish()
    assert all(fresh.pixels(id) is not None for id in ids)
    assert all(isinstance(fresh.events(id)[0], LoadingModel) for id in ids)


def test_loading_ahead_and_freeing(fresh: Bench, files: Mapping[str, ModelFile]) -> None:
    fresh.send(Load(model=files[SD]))
    fresh.turn()
    assert fresh.models.is_loaded(file_key(files[SD], {}))
    id = fresh.submit(files[SD])
    fresh.finish()
    assert not any(isinstance(event, LoadingModel) for event in fresh.events(id))
    fresh.send(Free(system_ram=True))
    fresh.send(Free(system_ram=True))
    fresh.turn()
    assert fresh.other == [Loaded(name=files[SD].name), Freed(freed=True), Freed(freed=False)]


def test_calls_respect_their_limit(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        narrow, wide = new_bench(limit=2), new_bench(limit=16)
        ids = [[bench.submit(files[SD], (seed,)) for seed in range(3)] for bench in (narrow, wide)]
        turns = [0, 0]
        for number, bench in enumerate((narrow, wide)):
            while bench.turn():
                turns[number] += 1
        assert turns[0] > turns[1]
        for one, other in zip(*ids, strict=True):
            assert (narrow.pixels(one) - wide.pixels(other)).abs().max() <= 1.0


def test_prompts_whose_common_length_would_be_long_are_asked_apart() -> None:
    def row(chunks: int) -> Row:
        return Row(
            x=torch.zeros(1), timestep=0.0, sigma=1.0, conditioning=Conditioning(tokens=torch.zeros(1, 77 * chunks, 4))
        )

    assert alike([row(1), row(2), row(3)]) == [[0, 1, 2]]
    assert alike([row(5), row(7), row(1)]) == [[1, 2], [0]]


class Cramped(UnetDenoiser):
    """A device that can hold two rows at a time."""

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        if len(rows) > 2:
            raise torch.OutOfMemoryError("there is room for two")
        return super().__call__(rows)


def test_running_out_of_memory_makes_calls_smaller_and_fails_nobody(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench(limit=16)
        expected = [bench.picture(files[SD], seed) for seed in range(4)]
        model = bench.models.loaded(files[SD], {})
        cramped = replace(model, denoiser=Cramped(model.components, model.device))
        bench.models.put_in_place(cramped, {})
        ids = [bench.submit(files[SD], (seed,)) for seed in range(4)]
        bench.finish()
    for id, picture in zip(ids, expected, strict=True):
        assert (bench.pixels(id) - picture).abs().max() <= 1.0


def test_a_picture_of_another_size_gets_its_turn_when_it_is_older(files: Mapping[str, ModelFile]) -> None:
    with torch.inference_mode():
        bench = new_bench()
        bench.picture(files[SD])
        wide = bench.submit(files[SD], width=128, steps=2)
        small = [bench.submit(files[SD], (seed,), steps=2) for seed in range(3)]
        bench.finish()
    ends = [id for id in bench.finished if id in (wide, *small)]
    assert ends[0] == wide
    assert bench.pixels(wide).shape == (64, 128, 3)


class Full(Device):
    """A device without room for a second model."""

    def free_memory(self) -> int:
        return 1024**3


def test_a_picture_survives_that_its_weights_are_pushed_out(files: Mapping[str, ModelFile]) -> None:
    now = [0.0]
    with torch.inference_mode():
        roomy = new_bench()
        values: dict[str, Any] = {"steps": 6, "prompt": "[cat|dog] on a hill"}
        expected = roomy.picture(files[SD], 3, **values), roomy.picture(files[XL], 4)

        bench = new_bench(device=Full(**vars(choose_device(0, "auto"))), clock=lambda: now[0])
        first = bench.submit(files[SD], steps=3)
        bench.turn()
        now[0] = 1.0
        other = bench.submit(files[XL], (4,))
        bench.turn()
        now[0] = 10.0
        late = bench.submit(files[SD], (3,), **values)
        bench.finish()
    assert bench.finished == [first, other, late]
    assert not bench.models.is_loaded(file_key(files[XL], {}))
    for id, picture in zip((late, other), expected, strict=True):
        assert (bench.pixels(id) - picture).abs().max() <= 1.0

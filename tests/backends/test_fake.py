"""The fake backend keeps the promises that tests of everything else lean on."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
from PIL import Image

from swarm.backends.backend import BackendContext
from swarm.backends.types.fake import FakeBackend, FakeSettings
from swarm.base.errors import BackendError, Crashed, Redirect, Refused
from swarm.jobs.events import ImageDone, Preview, StepDone
from swarm.jobs.job import Job
from swarm.media.image import Pixels
from tests.backends.support import job, model

pytestmark = pytest.mark.anyio


def fake(tmp_path: Path, **settings: object) -> FakeBackend:
    context = BackendContext(id=0, data_dir=tmp_path, models_roots=(tmp_path,))
    return FakeBackend(context, FakeSettings(**settings))  # type: ignore[arg-type]


async def everything(backend: FakeBackend, wanted: Job) -> list[object]:
    async with aclosing(backend.generate(wanted)) as events:
        return [event async for event in events]


async def pictures(backend: FakeBackend, wanted: Job) -> AsyncIterator[Pixels]:
    for event in await everything(backend, wanted):
        if isinstance(event, ImageDone):
            assert isinstance(event.result, Pixels)
            yield event.result


async def test_steps_previews_and_a_picture_for_each_seed(tmp_path: Path) -> None:
    events = await everything(fake(tmp_path), job(seeds=(1, 2)))
    steps = [event for event in events if isinstance(event, StepDone)]
    previews = [event for event in events if isinstance(event, Preview)]
    assert [(step.done, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    assert [preview.index for preview in previews] == [0, 1] * 3
    assert Image.open(io.BytesIO(previews[0].picture.data)).size == (16, 16)
    done = [event for event in events if isinstance(event, ImageDone)]
    assert [one.index for one in done] == [0, 1]


async def test_pictures_follow_from_the_seed_alone(tmp_path: Path) -> None:
    first = [one async for one in pictures(fake(tmp_path), job(seeds=(1, 2)))]
    second = [one async for one in pictures(fake(tmp_path), job("other words", seeds=(2, 1)))]
    assert first == second[::-1]
    assert first[0] != first[1]
    assert len(first[0].data) == 8 * 6 * 3


async def test_misbehaviour_on_request(tmp_path: Path) -> None:
    lost: list[str] = []
    backend = fake(tmp_path)
    await backend.start(lost.append)
    with pytest.raises(Refused, match="asked to fail"):
        await everything(backend, job("a fake-fail cat"))
    with pytest.raises(Crashed):
        await everything(backend, job("fake-crash"))
    assert lost
    with pytest.raises(Redirect):
        await everything(backend, job("fake-redirect"))
    assert await everything(backend, job("fake-redirect"))
    with pytest.raises(Refused, match=r"^Always.$"):
        await everything(fake(tmp_path, fail_with="Always."), job())
    with pytest.raises(BackendError, match=r"^Never.$"):
        await fake(tmp_path, fail_start="Never.").start(lost.append)


async def test_it_stops_at_once_when_cancelled(tmp_path: Path) -> None:
    with anyio.fail_after(2), anyio.move_on_after(0.01):
        await everything(fake(tmp_path, step_milliseconds=60_000), job())
    with anyio.fail_after(2), anyio.move_on_after(0.01):
        await everything(fake(tmp_path), job("fake-hang"))


async def test_loading_takes_its_time_and_may_fail(tmp_path: Path) -> None:
    backend = fake(tmp_path)
    await backend.load(model("a"))
    assert backend.current_model == "a"
    assert await backend.free(system_ram=False)
    assert backend.current_model is None
    with pytest.raises(BackendError, match=r"^Torn.$"):
        await fake(tmp_path, fail_load="Torn.").load(model("a"))

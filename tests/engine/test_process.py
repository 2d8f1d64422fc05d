"""The engine as a process: jobs through the pipe, and what happens when it dies."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

import anyio
import psutil
import pytest

from swarm.backends.backend import BackendContext
from swarm.backends.process import EngineProcess
from swarm.backends.types.local import TYPE, LocalBackend, LocalSettings
from swarm.base.errors import BackendError, BadInput, Crashed
from swarm.jobs.events import BackendEvent, ImageDone, Preview, StepDone
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench

pytestmark = [pytest.mark.torch, pytest.mark.anyio]


def job(model: ModelFile, id: str = "a", seed: int = 7, **values: object) -> Job:
    given = {"prompt": "a fox", "steps": 3, "width": 64, "height": 64, "cfgscale": 6.0, **values}
    return Job(id=id, input=GenerationInput(given), model=model, seeds=(seed,))


async def run(engine: EngineProcess | LocalBackend, work: Job) -> list[BackendEvent]:
    async with aclosing(engine.generate(work)) as events:
        return [event async for event in events]


def local(path: Path) -> LocalBackend:
    backend = TYPE.make(BackendContext(id=0, data_dir=path, models_roots=()), LocalSettings())
    assert isinstance(backend, LocalBackend)
    return backend


async def test_a_whole_life(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    """Start, pictures, cancelling, errors, a crash: one process, because starting one takes seconds."""
    lost: list[str] = []
    backend = local(path)
    await backend.start(lost.append)
    pid = backend._engine.pid if backend._engine is not None else None
    assert pid is not None
    assert {"comfyui", "variation_seed", "endstepsearly"} <= backend.features

    events = await run(backend, job(files[SD]))
    assert [type(event) for event in events[-1:]] == [ImageDone]
    assert {StepDone, Preview} <= {type(event) for event in events}
    assert backend.current_model == files[SD].name
    image = events[-1]
    assert isinstance(image, ImageDone)
    assert isinstance(image.result, Pixels)
    expected = bench.picture(files[SD], 7)
    assert image.result.data == bytes(expected.byte().flatten().tolist())

    async with aclosing(backend.generate(job(files[SD], steps=500))) as events_of_long:
        async for event in events_of_long:
            if isinstance(event, StepDone):
                break
    with anyio.fail_after(20):
        assert len(await run(backend, job(files[SD]))) >= 4

    with pytest.raises(BadInput, match="cannot be read"):
        await run(backend, job(ModelFile(name="gone", path=path / "gone", family=None, stamp="1")))
    with pytest.raises(BackendError, match="cannot be read"):
        await backend.load(ModelFile(name="gone", path=path / "gone", family=None, stamp="1"))
    assert await backend.free(system_ram=True)
    await backend.load(files[SD])

    with pytest.raises(Crashed, match="ended"):
        async with aclosing(backend.generate(job(files[SD], steps=500))) as events_of_doomed:
            async for event in events_of_doomed:
                if isinstance(event, StepDone):
                    psutil.Process(pid).kill()
    assert len(lost) == 1
    with pytest.raises(Crashed):
        await run(backend, job(files[SD]))
    await backend.stop()
    assert not psutil.pid_exists(pid)


async def test_an_engine_that_cannot_start_says_why() -> None:
    lost: list[str] = []
    engine = EngineProcess(["--dtype", "nonsense"], lost.append, clock=time.monotonic)
    with pytest.raises(BackendError, match="nonsense"):
        await engine.start()
    assert lost == []


async def test_stopping_during_the_start_leaves_nothing() -> None:
    engine = EngineProcess([], lambda _: None, clock=time.monotonic)
    with anyio.move_on_after(1.0):
        await engine.start()
    assert engine.pid is not None
    assert not psutil.pid_exists(engine.pid)


def test_the_engine_ends_with_its_parent() -> None:
    command = [sys.executable, "-m", "swarm.engine"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with child:
        assert child.stdin is not None
        child.stdin.close()
        assert child.wait(30) == 0


async def test_a_wrong_gpu_number_is_a_sentence(path: Path) -> None:
    backend = TYPE.make(BackendContext(id=0, data_dir=path, models_roots=()), LocalSettings(gpu_id="0,1"))
    with pytest.raises(BackendError, match="GPU_ID"):
        await backend.start(lambda _: None)

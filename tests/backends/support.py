"""A pool of fake backends and jobs for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import time
from typing import Any

import anyio

from swarm.backends import types
from swarm.backends.backend import BackendStatus, BackendType
from swarm.backends.instance import BackendInstance
from swarm.backends.pool import BackendPool
from swarm.backends.types.fake import FAKE
from swarm.base.registry import Registry
from swarm.features.core import PROMPT, STEPS
from swarm.features.resolution import HEIGHT, WIDTH
from swarm.jobs.job import Job, ModelFile
from swarm.params.input import GenerationInput

TYPES: Registry[BackendType] = Registry([(types.__name__, FAKE)])


def make_pool(folder: Path, *fakes: dict[str, Any], **options: Any) -> BackendPool:
    """A pool that will hold one fake backend for each dict of settings."""
    return BackendPool(
        TYPES,
        folder / "Backends.fds",
        folder,
        (folder / "Models",),
        time,
        defaults=[("fake", fake) for fake in fakes],
        retry_seconds=0.01,
        restart_seconds=0.02,
        **options,
    )


@asynccontextmanager
async def running_pool(folder: Path, *fakes: dict[str, Any], **options: Any) -> AsyncIterator[BackendPool]:
    """Such a pool, started."""
    async with make_pool(folder, *fakes, **options).running() as pool:
        for instance in pool.instances():
            await until(instance, BackendStatus.RUNNING)
        yield pool


async def until(instance: BackendInstance, *wanted: BackendStatus) -> None:
    """Wait until a backend is in one of these states."""
    with anyio.fail_after(5):
        while instance.status not in wanted:
            await anyio.sleep(0.001)


def model(name: str) -> ModelFile:
    return ModelFile(name=name, path=Path("/models") / name, family=None, stamp="1")


def job(prompt: str = "a cat", *, user: str = "ann", wants: str | None = None, seeds: tuple[int, ...] = (1,)) -> Job:
    """A small job; `wants` names its model."""
    input = GenerationInput().having(PROMPT, prompt).having(STEPS, 3).having(WIDTH, 8).having(HEIGHT, 6)
    return Job(
        id=f"{user}-{prompt}-{seeds}",
        input=input,
        model=model(wants) if wants is not None else None,
        seeds=seeds,
        user_id=user,
    )


def unheard(change: int) -> None:
    """A loading callback for those who do not care."""

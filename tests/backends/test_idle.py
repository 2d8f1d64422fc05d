"""Memory is given back once per quiet time, and not while there is work."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.backends.dispatch import Dispatcher
from swarm.backends.idle import IdleMemory
from tests.backends.support import job, model, running_pool, unheard


@pytest.mark.anyio
async def test_memory_is_freed_once_when_it_has_been_quiet(tmp_path: Path) -> None:
    async with running_pool(tmp_path, {}) as pool:
        now = pool.clock()
        pool.clock = lambda: now
        dispatch = Dispatcher(pool, lambda: now)
        idle = IdleMemory(pool, lambda: (10.0, -1.0))
        [instance] = pool.instances()
        async with dispatch.lease(job(wants="a"), needs=frozenset(), loading=unheard):
            now += 3600
            await idle.look()
            assert instance.backend.current_model == "a"
        await idle.look()
        now += 599
        await idle.look()
        assert instance.backend.current_model == "a"
        now += 2
        await idle.look()
        assert instance.backend.current_model is None
        await instance.backend.load(model("b"))
        now += 3600
        await idle.look()
        assert instance.backend.current_model == "b"

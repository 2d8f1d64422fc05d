"""Blocking work takes no more threads than it may, whoever waits."""

from __future__ import annotations

import threading
import time

import anyio
import pytest
from anyio import CapacityLimiter

from swarm.base.tasks import WORKERS, limit_workers, to_thread, to_thread_limited


@pytest.mark.anyio
async def test_no_more_threads_than_workers_and_all_of_the_work_is_done() -> None:
    limit_workers()
    names: set[int] = set()
    at_once: list[int] = []
    working = 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal working
        with lock:
            working += 1
            at_once.append(working)
            names.add(threading.get_ident())
        time.sleep(0.01)
        with lock:
            working -= 1

    async with anyio.create_task_group() as group:
        for _ in range(10 * WORKERS):
            group.start_soon(to_thread, work)
    assert len(at_once) == 10 * WORKERS
    assert max(at_once) == WORKERS == len(names)


@pytest.mark.anyio
async def test_work_with_a_limit_of_its_own_leaves_the_workers_to_others() -> None:
    limit_workers()
    limiter, opened = CapacityLimiter(1), threading.Event()
    async with anyio.create_task_group() as group:
        for _ in range(2 * WORKERS):
            group.start_soon(to_thread_limited, limiter, opened.wait)
        await anyio.wait_all_tasks_blocked()
        with anyio.fail_after(5):
            assert await to_thread(lambda: 7) == 7
        opened.set()

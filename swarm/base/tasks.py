"""Small pieces for structured concurrency: blocking work in threads, and errors out of groups."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

import anyio
from anyio import CapacityLimiter
from anyio import to_thread as anyio_to_thread

P = ParamSpec("P")
R = TypeVar("R")

WORKERS = 10
"""Threads for blocking work that has no limit of its own. Such work waits for databases and disks, a few milliseconds
each time; more threads than this only wait in more places at once."""


def limit_workers() -> None:
    """Let `to_thread` use no more than WORKERS threads in the event loop that runs; what is beyond waits its turn."""
    anyio_to_thread.current_default_thread_limiter().total_tokens = WORKERS


async def to_thread(function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """Run blocking `function` in a worker thread, so that the event loop stays free."""
    return await anyio_to_thread.run_sync(partial(function, *args, **kwargs))


async def to_thread_limited(limiter: CapacityLimiter, function: Callable[[], R]) -> R:
    """Like `to_thread`, with a limit of its own (encoding pictures must not starve file serving)."""
    return await anyio_to_thread.run_sync(function, limiter=limiter)


def only_error(group: BaseException) -> BaseException:
    """Unwrap exception groups that hold a single error, however deep."""
    while isinstance(group, BaseExceptionGroup) and len(group.exceptions) == 1:
        group = group.exceptions[0]
    return group


CancelScope = anyio.CancelScope

"""How one backend starts, is lost, comes back and stops. Runs on the event loop, in the pool's task group."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
from anyio.abc import TaskGroup

from swarm.backends.backend import Backend, BackendStatus
from swarm.backends.guard import Problem, attempt
from swarm.backends.instance import BackendInstance, Signal
from swarm.base.errors import Unavailable

RETRY_SECONDS = 1.0
RESTART_SECONDS = 2.0
SHUTTING_DOWN = "Backend handler is shutting down."
_MAX_RESTART_SECONDS = 60.0
_STEADY_SECONDS = 60.0
_IDLE_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Lifecycle:
    """Brings instances up and down. `make` gives a fresh backend for an instance; `changed` is told of each change.

    `freed` is fired whenever a job or a load leaves a backend. Slow kinds start one after another, fast ones at once.
    """

    def __init__(
        self,
        make: Callable[[BackendInstance], Backend],
        changed: Callable[[], None],
        *,
        max_init_attempts: int,
        retry_seconds: float,
        restart_seconds: float,
    ) -> None:
        self.freed = Signal()
        self.group: TaskGroup | None = None
        self._make = make
        self._changed = changed
        self.max_init_attempts = max_init_attempts
        self._retry_seconds = retry_seconds
        self._restart_seconds = restart_seconds
        self._serial = anyio.Lock()

    def spawn(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        """Run `work` in the pool's task group. Raises Unavailable when the pool is not running."""
        if self.group is None:
            raise Unavailable(SHUTTING_DOWN)
        self.group.start_soon(work, *args)

    def begin(self, instance: BackendInstance, delay: float = 0.0) -> None:
        """Start an instance in the background after `delay` seconds, or mark it as switched off."""
        instance.settled = anyio.Event()
        if instance.enabled and self.group is not None:
            instance.starting = anyio.CancelScope()
            self._set_status(instance, BackendStatus.WAITING)
            self.spawn(self._bring_up, instance, instance.starting, delay)
        else:
            instance.settled.set()
            self._set_status(instance, BackendStatus.DISABLED)

    async def until_free(self, instance: BackendInstance) -> None:
        """Wait until it works on nothing and loads nothing."""
        while instance.usages > 0 or instance.loading_model is not None:
            await self.freed.wait()

    async def take_down(self, instance: BackendInstance) -> None:
        """End a start that is under way, and stop the backend."""
        if instance.starting is not None:
            instance.starting.cancel()
        await instance.settled.wait()
        if instance.status is not BackendStatus.DISABLED:
            await attempt(instance.backend.stop(), str(instance))
            self._set_status(instance, BackendStatus.WAITING)

    async def _bring_up(self, instance: BackendInstance, scope: anyio.CancelScope, delay: float) -> None:
        """Try to start until it runs or has failed too often."""
        try:
            with scope:
                await anyio.sleep(delay)
                failures = 0
                while not await self._try_start(instance):
                    failures += 1
                    if failures > self.max_init_attempts:
                        self._give_up(instance)
                        if not _is_tireless(instance):
                            return
                    await anyio.sleep(self._pause(instance, failures))
        finally:
            instance.starting = None
            instance.settled.set()

    def _give_up(self, instance: BackendInstance) -> None:
        """Nobody waits for it any longer; one that is tireless is still tried now and then."""
        if instance.status is not BackendStatus.IDLE:
            self._set_status(instance, BackendStatus.ERRORED)

    def _pause(self, instance: BackendInstance, failures: int) -> float:
        """Seconds until the next attempt: growing for what is somewhere else, up to a minute."""
        if not _is_tireless(instance):
            return self._retry_seconds
        most = _IDLE_SECONDS if _may_idle(instance) else _MAX_RESTART_SECONDS
        return float(min(most, self._retry_seconds * 2.0 ** min(failures - 1, 10)))

    async def _try_start(self, instance: BackendInstance) -> bool:
        if instance.type.fast:
            return await self._start_fresh(instance)
        async with self._serial:
            return await self._start_fresh(instance)

    async def _start_fresh(self, instance: BackendInstance) -> bool:
        """One attempt with a fresh backend; True when it runs."""
        backend = instance.backend = self._make(instance)
        is_quiet = instance.status in (BackendStatus.IDLE, BackendStatus.ERRORED)
        if not is_quiet:
            self._set_status(instance, BackendStatus.LOADING)
        result = await attempt(backend.start(lambda sentence: self._lost(instance, backend, sentence)), str(instance))
        if isinstance(result, Problem):
            instance.message = result.sentence
            await attempt(backend.stop(), str(instance))
            if not is_quiet:
                self._set_status(instance, BackendStatus.IDLE if _may_idle(instance) else BackendStatus.WAITING)
            return False
        instance.boots += 1
        instance.up_since = anyio.current_time()
        instance.message = ""
        instance.hold_until = 0.0
        self._set_status(instance, BackendStatus.RUNNING)
        return True

    def _lost(self, instance: BackendInstance, backend: Backend, sentence: str) -> None:
        """A backend that ran is gone: it comes back after a pause that grows when this happens often."""
        if instance.backend is not backend or instance.status is not BackendStatus.RUNNING:
            return
        logger.error("%s is gone: %s", instance, sentence)
        instance.message = sentence
        if instance.parent is not None or instance.reserved or not getattr(instance.settings, "auto_restart", True):
            self._set_status(instance, BackendStatus.ERRORED)  # whoever reserved it is about to start it anew
            return
        was_steady = anyio.current_time() - instance.up_since > _STEADY_SECONDS
        instance.losses = 1 if was_steady else instance.losses + 1
        pause = min(_MAX_RESTART_SECONDS, self._restart_seconds * 2.0 ** (instance.losses - 1))
        self.spawn(self._stop_lost, backend, str(instance))
        self.begin(instance, pause)

    async def _stop_lost(self, backend: Backend, who: str) -> None:
        await attempt(backend.stop(), who)

    def _set_status(self, instance: BackendInstance, status: BackendStatus) -> None:
        instance.status = status
        self._changed()


def _may_idle(instance: BackendInstance) -> bool:
    return bool(getattr(instance.settings, "allow_idle", False)) and instance.parent is None


def _is_tireless(instance: BackendInstance) -> bool:
    """One that is somewhere else and has run, or may be away by its settings, is never given up."""
    return instance.parent is None and (_may_idle(instance) or (instance.type.remote and instance.boots > 0))

"""Swarms started by a script when there is much to do and ended when there is not (swarm-models-backends 3.7)."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from swarm.backends.backend import BackendContext, BackendType, setting
from swarm.backends.peer import Peer, header_lines
from swarm.backends.remote_swarm.session import RemoteSession
from swarm.backends.types.swarm_remote import TYPE as SWARM
from swarm.backends.types.swarm_remote import SwarmSettings
from swarm.base.errors import BackendError
from swarm.jobs.events import BackendEvent
from swarm.jobs.job import Job, ModelFile

TICK_SECONDS = 1.0
PING_SECONDS = 30.0
RETRY_SECONDS = 5.0
LONGEST_LINE = 65536
_TOLD = re.compile(r"\[SwarmAutoScaleBackend\]([A-Za-z]+): (.*)\[/SwarmAutoScaleBackend\]")
_NO_WORK = "An auto scaling backend makes nothing itself."
_COUNT = re.compile(r"\d{1,4}")

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScalingSettings:
    """When to start and to end other Swarms. Times are minutes."""

    max_backends: int = setting(5, "How many may run at most.")
    min_backends: int = setting(0, "How many always run.")
    min_wait_between_start: float = setting(1.0, "Minutes between two starts.")
    min_wait_after_failure: float = setting(2.0, "Minutes without starts after one that failed.")
    min_wait_between_stop: float = setting(1.0, "Minutes between two that are ended.")
    min_idle_time: float = setting(10.0, "Minutes without work after which one may be ended.")
    min_queued_before_expand: int = setting(
        10, "How many jobs must wait or be in work before a further one is started."
    )
    start_script: str = setting("", "The program that starts a Swarm and prints its address.")
    authorization_header: str = setting("", "Whole value of the Authorization header, if one is needed.", secret=True)
    other_headers: str = setting("", "Further headers, each on a line of its own as 'Name: Value'.")
    connection_attempt_timeout_seconds: int = setting(30, "How long opening a session may take.")


@dataclass(kw_only=True)
class _Worker:
    """A Swarm that was started. `child`: id of its backend here. Times are unix seconds."""

    child: int
    peer: Peer
    session: RemoteSession
    since: float
    pinged: float


class ScalingBackend:
    """Looks once a second whether to start or to end one."""

    def __init__(self, context: BackendContext, settings: ScalingSettings) -> None:
        self._context = context
        self._settings = settings
        self._workers: list[_Worker] = []
        self._processes: list[Process] = []
        self._pending = 0
        self._last_start = self._last_stop = float("-inf")
        self._blocked_until = float("-inf")
        self._scope = anyio.CancelScope()
        self._is_up = False
        self.features: frozenset[str] = frozenset()
        self.max_usages = 0
        self.current_model: str | None = None
        self.model_names: dict[str, frozenset[str]] | None = None
        self.can_load_models = False

    @property
    def may_grow(self) -> bool:
        """A first one is on its way, or can be started now."""
        now = self._context.relations.now()
        return self._is_up and not self._workers and (self._pending > 0 or now >= self._blocked_until)

    def refuses(self, params: frozenset[str]) -> str | None:
        return _NO_WORK

    async def start(self, lost: Callable[[str], None]) -> None:
        given = self._settings
        if given.max_backends <= 0 or not given.start_script.strip():
            raise BackendError("Auto scaling is off: it needs a start script and a maximum above 0.")
        numbers = (given.min_backends, given.min_wait_between_start, given.min_wait_after_failure)
        more = (given.min_wait_between_stop, given.min_idle_time, given.min_queued_before_expand - 1)
        if min(*numbers, *more) < 0 or given.min_backends > given.max_backends:
            raise BackendError("The numbers of the auto scaling backend contradict each other.")
        if not await anyio.Path(given.start_script).is_file():
            raise BackendError(f"There is no start script '{given.start_script}'.")
        header_lines(given.authorization_header, given.other_headers)
        self._is_up = True
        self._context.relations.spawn(self._run)

    async def stop(self) -> None:
        """End all that were started, and the scripts that still run."""
        self._is_up = False
        self._scope.cancel()
        workers, self._workers = self._workers, []
        async with anyio.create_task_group() as group:
            for worker in workers:
                group.start_soon(self._end, worker)
        for process in self._processes:
            with suppress(ProcessLookupError):
                process.terminate()

    def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        raise BackendError(_NO_WORK)

    async def load(self, model: ModelFile) -> None:
        raise BackendError(_NO_WORK)

    async def free(self, *, system_ram: bool) -> bool:
        return False

    # --- once a second ------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        with self._scope:
            while self._is_up:
                await self._tick(self._context.relations.now())
                await anyio.sleep(TICK_SECONDS)

    async def _tick(self, now: float) -> None:
        for worker in [one for one in self._workers if now - one.pinged >= PING_SECONDS]:
            worker.pinged = now
            self._context.relations.spawn(self._ping, worker)
        if self._should_start(now):
            self._last_start = now
            self._pending += 1
            self._context.relations.spawn(self._launch)
        elif (idle := self._to_stop(now)) is not None:
            self._last_stop = now
            self._workers.remove(idle)
            self._context.relations.spawn(self._end, idle)

    def _should_start(self, now: float) -> bool:
        count = len(self._workers) + self._pending
        is_blocked = now < self._blocked_until or now - self._last_start < self._settings.min_wait_between_start * 60
        if is_blocked or count >= self._settings.max_backends:
            return False
        demand, is_starving = self._context.relations.demand()
        wanted = demand >= self._settings.min_queued_before_expand or (is_starving and count == 0 and demand > 0)
        return count < self._settings.min_backends or wanted

    def _to_stop(self, now: float) -> _Worker | None:
        """One that is idle for long enough, when there are more than the least."""
        if len(self._workers) <= self._settings.min_backends:
            return None
        if now - self._last_stop < self._settings.min_wait_between_stop * 60:
            return None
        for worker in self._workers:
            is_used, last = self._context.relations.is_used(worker.child)
            if not is_used and now - max(last, worker.since) > self._settings.min_idle_time * 60:
                return worker
        return None

    # --- one worker ---------------------------------------------------------------------------------------------

    async def _launch(self) -> None:
        try:
            url, retries = await self._run_script()
            await self._take_on(url, retries)
        except (BackendError, OSError) as error:
            logger.error("A Swarm could not be started: %s", error)
            self._blocked_until = self._context.relations.now() + self._settings.min_wait_after_failure * 60
        finally:
            self._pending -= 1
            self._context.relations.changed()

    async def _run_script(self) -> tuple[str, int]:
        """(address, connection attempts) that the script prints. It may go on running."""
        script = Path(self._settings.start_script).absolute()
        process = await anyio.open_process([str(script)], cwd=script.parent, stdin=None, stderr=None)
        self._processes.append(process)
        retries = 1
        async for key, value in _told(process):
            if key == "NewURL":
                self._context.relations.spawn(self._drain, process)
                return value, retries
            if key == "DoRetries" and _COUNT.fullmatch(value):
                retries = max(1, int(value))
            if key == "DeclareFailed":
                raise BackendError(f"The start script says: {value}")
        await process.wait()
        self._processes.remove(process)
        raise BackendError("The start script ended without an address.")

    async def _drain(self, process: Process) -> None:
        """Read on, so that a script that keeps talking is not held up."""
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            if process.stdout is not None:
                async for _ in process.stdout:
                    pass
        await process.wait()
        if process in self._processes:
            self._processes.remove(process)

    async def _take_on(self, url: str, retries: int) -> None:
        """Wait until the Swarm answers; then it is one of our backends. Raises BackendError when it never does."""
        given = self._settings
        headers = header_lines(given.authorization_header, given.other_headers)
        peer = Peer(self._context.world.outgoing, url, headers)
        seconds = float(max(1, given.connection_attempt_timeout_seconds))
        session = RemoteSession(peer, self._context.world.server_id, seconds)
        for attempt in range(retries):
            try:
                await session.open()
                break
            except BackendError:
                if attempt + 1 >= retries:
                    raise
                await anyio.sleep(RETRY_SECONDS)
        settings = SwarmSettings(
            address=url,
            authorization_header=given.authorization_header,
            other_headers=given.other_headers,
            connection_attempt_timeout_seconds=given.connection_attempt_timeout_seconds,
        )
        now = self._context.relations.now()
        child = self._context.relations.adopt(SWARM, settings, f"Started by {self._context.id}")
        self._workers.append(_Worker(child=child, peer=peer, session=session, since=now, pinged=float("-inf")))

    async def _ping(self, worker: _Worker) -> None:
        """Tell it that it is still wanted; one that does not answer is given up."""
        try:
            answer = await worker.session.call("AdminTakeControl", {}, PING_SECONDS)
        except BackendError:
            answer = {}
        if answer.get("success") is not True and worker in self._workers:
            logger.warning("The Swarm at %s does not answer any more.", worker.peer.base)
            self._workers.remove(worker)
            await self._end(worker)

    async def _end(self, worker: _Worker) -> None:
        with anyio.CancelScope(shield=True), suppress(BackendError):
            await worker.session.call("ShutdownServer", {}, RETRY_SECONDS)
        self._context.relations.dismiss(worker.child)


async def _told(process: Process) -> AsyncIterator[tuple[str, str]]:
    """The lines that are meant for us, as (key, value)."""
    if process.stdout is None:
        return
    lines = BufferedByteReceiveStream(process.stdout)
    with suppress(anyio.EndOfStream, anyio.IncompleteRead):
        while True:
            line = (await lines.receive_until(b"\n", LONGEST_LINE)).decode("utf-8", "replace").strip()
            found = _TOLD.fullmatch(line)
            if found:
                yield found[1], found[2].strip()


TYPE = BackendType(
    id="autoscalingbackend",
    label="Auto Scaling Backend",
    description="Starts further Swarm servers by a script of yours when many jobs wait, and ends idle ones.",
    settings=ScalingSettings,
    make=ScalingBackend,
    standard=False,
    fast=True,
)

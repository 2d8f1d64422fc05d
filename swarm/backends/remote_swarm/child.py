"""One backend of another Swarm, as a backend of ours. Each job at a time has its own session, to be stopped alone."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import replace
from typing import Protocol

import anyio

from swarm.backends.backend import BackendContext
from swarm.backends.peer import Peer, Unreachable
from swarm.backends.remote_swarm.generate import over_http, over_socket
from swarm.backends.remote_swarm.listing import Entry
from swarm.backends.remote_swarm.session import RemoteSession
from swarm.backends.remote_swarm.spelling import spelled
from swarm.base.errors import BackendError, Crashed, Redirect
from swarm.jobs.events import BackendEvent
from swarm.jobs.job import Job, ModelFile

STOP_SECONDS = 5.0


class Controller(Protocol):
    """What the child needs of the backend that brought it along."""

    peer: Peer
    uses_sockets: bool
    model_names: dict[str, frozenset[str]] | None
    server_id: str

    def new_session(self) -> RemoteSession: ...

    async def still_there(self) -> bool:
        """Ask the remote now; when it does not answer, it counts as gone."""


class RemoteChild:
    """`entry` is kept up to date by the controller."""

    def __init__(self, context: BackendContext, control: Controller, entry: Entry) -> None:
        self._world = context.world
        self._control = control
        self._free: list[RemoteSession] = []
        self.entry = entry

    @property
    def features(self) -> frozenset[str]:
        return self.entry.features

    @property
    def max_usages(self) -> int:
        return self.entry.max_usages

    @property
    def current_model(self) -> str | None:
        return self.entry.current_model

    @property
    def can_load_models(self) -> bool:
        return self.entry.can_load_models

    @property
    def model_names(self) -> dict[str, frozenset[str]] | None:
        return self._control.model_names

    @property
    def route(self) -> tuple[str, ...]:
        return (self._control.server_id, *self.entry.servers)

    async def start(self, lost: Callable[[str], None]) -> None:
        async with self._session():
            return

    async def stop(self) -> None:
        self._free.clear()

    async def generate(self, job: Job) -> AsyncGenerator[BackendEvent, None]:
        body = spelled(job, self._world.params, self.entry.id)
        try:
            async with self._session() as session:
                events = (
                    over_socket(self._control.peer, session, body, previews=job.wants_previews)
                    if self._control.uses_sockets
                    else over_http(session, body)
                )
                async with self._stopped_when_left(session), aclosing(events):
                    async for event in events:
                        yield event
        except Unreachable as error:
            if await self._control.still_there():
                raise Crashed(error.sentence) from None
            raise Redirect(error.sentence) from None
        except Crashed:
            await self._control.still_there()
            raise

    async def load(self, model: ModelFile) -> None:
        try:
            async with self._session() as session:
                answer = await session.call("SelectModel", {"model": model.name, "backendId": self.entry.id})
        except Unreachable as error:
            await self._control.still_there()
            raise Crashed(error.sentence) from None
        if answer.get("success") is not True:
            raise BackendError("The remote could not load the model.")
        self.entry = replace(self.entry, current_model=model.name)

    async def free(self, *, system_ram: bool) -> bool:
        async with self._session() as session:
            answer = await session.call("FreeBackendMemory", {"system_ram": system_ram, "backend": str(self.entry.id)})
        return answer.get("result") is True

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[RemoteSession]:
        """A session that nobody else uses meanwhile."""
        session = self._free.pop() if self._free else self._control.new_session()
        if not session.id:
            await session.open()
        yield session
        self._free.append(session)

    @asynccontextmanager
    async def _stopped_when_left(self, session: RemoteSession) -> AsyncIterator[None]:
        """However the job ends but by itself, the remote is told to stop it."""
        try:
            yield
        except BaseException:
            with anyio.CancelScope(shield=True), anyio.move_on_after(STOP_SECONDS), suppress(BackendError):
                await session.call("InterruptAll", {"other_sessions": False}, STOP_SECONDS)
            raise

"""When other programs are told what happens here: work begins and ends, pictures, the server's own life
(swarm-core 9.1)."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import anyio
from anyio.abc import TaskGroup

from swarm.base.errors import UserError
from swarm.base.ids import new_job_id
from swarm.base.tasks import to_thread
from swarm.features.webhooks import MANUAL, MANUAL_AT_END, NO_HOOKS
from swarm.generation.hook_body import hook_body, wants_picture
from swarm.generation.hook_sender import SECONDS, HookSender
from swarm.media.image import Picture
from swarm.queue.deliveries import Delivery
from swarm.settings.server import WebHookSettings

Tags = Callable[[], Mapping[str, str]]
_log = logging.getLogger(__name__)


class Webhooks:
    """Enter `running` for the life of the server. Nothing here raises: what cannot be sent is a line in the log."""

    def __init__(self, settings: Callable[[], WebHookSettings], sender: HookSender, address: Callable[[], str]) -> None:
        """`address`: of this server, without a slash at its end."""
        self.address = address
        self._settings = settings
        self._sender = sender
        self._group: TaskGroup | None = None
        self._busy = 0
        self._told_busy = False
        self._turn = anyio.Lock()
        self._idle: anyio.CancelScope | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The server runs: says so at the beginning and at the end."""
        async with anyio.create_task_group() as group:
            self._group = group
            group.start_soon(self._sender.run)
            settings = self._settings()
            await self._keep("serverstart", settings.server_start, settings.server_start_data)
            try:
                yield
            finally:
                self._group = None
                group.cancel_scope.cancel()

    async def stopping(self) -> None:
        """The server is about to stop; waits for the answer."""
        settings = self._settings()
        await self._now("servershutdown", settings.server_shutdown, settings.server_shutdown_data)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Work is in hand. The first after a pause waits until that was told, within reason."""
        self._busy += 1
        try:
            if self._idle is not None:
                self._idle.cancel()
            await self._tell_start()
            yield
        finally:
            self._busy -= 1
            if self._busy == 0 and self._told_busy and self._group is not None:
                self._group.start_soon(self._tell_end)

    async def _tell_start(self) -> None:
        async with self._turn:
            if not self._told_busy:
                self._told_busy = True
                settings = self._settings()
                await self._now("queuestart", settings.queue_start, settings.queue_start_data)

    async def _tell_end(self) -> None:
        with anyio.CancelScope() as scope:
            self._idle = scope
            await anyio.sleep(max(0.0, self._settings().queue_end_delay))
        self._idle = None
        if scope.cancelled_caught:
            return
        async with self._turn:
            if self._busy == 0 and self._told_busy:
                settings = self._settings()
                await self._now("queueend", settings.queue_end, settings.queue_end_data)
                self._told_busy = False

    async def picture(self, mode: str, tags: Tags, picture: Callable[[], Picture | None]) -> None:
        """A picture is there. `mode`: the request's parameter. `tags`, `picture`: only asked when a hook is set."""
        settings = self._settings()
        if mode != NO_HOOKS:
            await self._keep("everygen", settings.every_gen, settings.every_gen_data, tags, picture)
        if mode == MANUAL:
            await self._keep("manualgen", settings.manual_gen, settings.manual_gen_data, tags, picture)

    async def request_ended(self, mode: str, tags: Tags) -> None:
        """A whole request is done."""
        settings = self._settings()
        if mode == MANUAL_AT_END:
            await self._keep("manualgen", settings.manual_gen, settings.manual_gen_data, tags)

    async def _keep(
        self,
        event: str,
        url: str,
        data: str,
        tags: Tags | None = None,
        picture: Callable[[], Picture | None] | None = None,
    ) -> None:
        """Put a message on its way."""
        if not url.strip():
            return
        try:
            shown = await to_thread(picture) if picture is not None and wants_picture(data) else None
            body = hook_body(data, None if tags is None else tags(), shown)
        except UserError as error:
            _log.error("The web hook %s is skipped: %s", event, error.sentence)
            return
        await self._sender.keep(event, url.strip(), body.type, body.data)

    async def _now(self, event: str, url: str, data: str) -> None:
        """Send a message and wait for its answer, for half a minute at most; it is not tried again."""
        if not url.strip():
            return
        try:
            body = hook_body(data)
        except UserError as error:
            _log.error("The web hook %s is skipped: %s", event, error.sentence)
            return
        delivery = Delivery(id=new_job_id(), event=event, url=url.strip(), type=body.type, body=body.data)
        await self._sender.send(delivery, seconds=SECONDS)

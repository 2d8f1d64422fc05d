"""Web hooks on their way out: signed, tried again with growing pauses, and never in anybody's way."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Sequence
from hashlib import sha256

import anyio

from swarm.base.errors import UserError
from swarm.base.outgoing import Outgoing
from swarm.base.tasks import to_thread
from swarm.queue.deliveries import Delivery, DeliveryStore
from swarm.settings.server import WebHookSettings

PAUSES = (2.0, 10.0, 60.0, 300.0, 1800.0)
"""Seconds until the second, third … attempt; after the last a message is given up."""

SECONDS = 30.0
_IDLE_SECONDS = 1.0
_log = logging.getLogger(__name__)


class HookSender:
    """`clock`: unix seconds. `pauses`: see PAUSES. Enter `run` as a task to have kept messages sent."""

    def __init__(
        self,
        settings: Callable[[], WebHookSettings],
        store: DeliveryStore,
        outgoing: Outgoing,
        clock: Callable[[], float],
        *,
        version: str,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._settings = settings
        self._store = store
        self._outgoing = outgoing
        self._clock = clock
        self._version = version
        self._pauses = tuple(pauses)
        self._news = anyio.Event()

    async def send(self, delivery: Delivery, *, seconds: float = SECONDS) -> bool:
        """One attempt; whether it was taken. Never raises."""
        settings = self._settings()
        try:
            status = await self._outgoing.post(
                delivery.url,
                delivery.body,
                headers=self._headers(delivery, settings.secret),
                seconds=seconds,
                local=settings.local_hosts.split(","),
            )
        except (UserError, OSError, TimeoutError) as error:
            why = error or "no answer in time"
            _log.warning(
                "The web hook %s could not be sent (attempt %d): %s", delivery.event, delivery.attempt + 1, why
            )
            return False
        if not 200 <= status < 300:
            _log.warning("The web hook %s was answered with status %d.", delivery.event, status)
        return 200 <= status < 300

    def _headers(self, delivery: Delivery, secret: str) -> dict[str, str]:
        sent = str(int(self._clock()))
        headers = {
            "user-agent": f"SwarmUI/{self._version}",
            "content-type": delivery.type,
            "x-swarm-event": delivery.event,
            "x-swarm-delivery": delivery.id,
            "x-swarm-timestamp": sent,
        }
        if secret:
            headers["x-swarm-signature"] = signature(secret, sent, delivery.body)
        return headers

    async def keep(self, event: str, url: str, type: str, body: bytes) -> None:
        """Have a message sent as soon as possible, now or after a restart."""
        await to_thread(self._store.add, event, url, type, body)
        self._news.set()

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            due = await to_thread(self._store.due)
            async with anyio.create_task_group() as sending:
                for delivery in due:
                    sending.start_soon(self._deliver, delivery)
            if not due:
                self._news = anyio.Event()
                with anyio.move_on_after(_IDLE_SECONDS):
                    await self._news.wait()

    async def _deliver(self, delivery: Delivery) -> None:
        if await self.send(delivery):
            await to_thread(self._store.done, delivery)
        elif delivery.attempt < len(self._pauses):
            await to_thread(self._store.later, delivery, self._pauses[delivery.attempt])
        else:
            _log.error("The web hook %s is given up after %d attempts.", delivery.event, delivery.attempt + 1)
            await to_thread(self._store.done, delivery)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """The value of X-Swarm-Signature: an HMAC-SHA256 of `<timestamp>.<body>`."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()

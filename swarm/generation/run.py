"""One request, carried from its parameters to its last picture. Owned by the service, watched by whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from swarm.accounts.user import User
from swarm.base.json import JsonObject
from swarm.generation.claims import Claim
from swarm.generation.events import Discard, Failure, GenerationEvent, ImageSaved, KeepAlive, Status
from swarm.generation.watch import Watch
from swarm.media.image import Pixels

KEEP_ALIVE_SECONDS = 30.0


@dataclass
class Indices:
    """Numbering of outputs that belong to no expected index, shared by all requests of one socket (swarm-t2i 4.6)."""

    surplus: int = 0
    intermediate: int = 0

    def next_surplus(self) -> int:
        self.surplus += 1
        return self.surplus

    def next_intermediate(self) -> int:
        self.intermediate += 1
        return -10 - self.intermediate


@dataclass
class RequestRun:
    """The live state of one request: its claim, its watcher, and what has come out of it so far.

    `expected`: how many pictures its tasks are to make. `stills`: by index.
    """

    user: User
    claim: Claim
    watch: Watch
    status_body: Callable[[], JsonObject]
    indices: Indices
    continue_after_errors: bool = False
    stopped: bool = False
    pending: int = 0
    expected: int = 0
    saved: list[ImageSaved] = field(default_factory=list)
    stills: dict[int, Pixels] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    _moved: anyio.Event = field(default_factory=anyio.Event)

    def publish(self, event: GenerationEvent) -> None:
        self.watch.publish(event)

    def publish_status(self) -> None:
        if not self.watch.is_left:
            self.watch.publish(Status(body=self.status_body()))

    def stop(self) -> bool:
        """Let no further picture of the request start, unless errors are to be passed over (swarm-t2i 4.8)."""
        if self.continue_after_errors and not self.claim.interrupted:
            return False
        self.stopped = True
        return True

    def fail(self, sentence: str, error_id: str | None = None) -> None:
        """Stop, and tell the watcher why."""
        if self.stop():
            self.watch.publish(Failure(sentence=sentence, error_id=error_id))

    @contextmanager
    def one_pending(self) -> Iterator[None]:
        """Counts a task from its start to its end; ends with the counters and a keep-alive on the wire."""
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1
            self.claim.one_less()
            self.publish_status()
            self._moved.set()

    @contextmanager
    def waiting_for_backend(self) -> Iterator[None]:
        self.claim.waiting_backends += 1
        self.publish_status()
        try:
            yield
        finally:
            self.claim.waiting_backends -= 1

    @contextmanager
    def live(self) -> Iterator[None]:
        self.claim.live_gens += 1
        self.publish_status()
        try:
            yield
        finally:
            self.claim.live_gens -= 1

    def loading(self, delta: int) -> None:
        self.claim.loading_models += delta
        self.publish_status()

    async def room(self, limit: int) -> None:
        """Wait while more than `limit` tasks are pending (so `limit` + 1 may be, as on Swarm)."""
        while self.pending > limit and not self.claim.interrupted:
            await self._next_move()

    async def all_ended(self) -> None:
        """Wait for every task, with a keep-alive whenever one ends and at least every 30 seconds."""
        while self.pending:
            with anyio.move_on_after(KEEP_ALIVE_SECONDS):
                await self._next_move()
            self.publish(KeepAlive())

    async def _next_move(self) -> None:
        self._moved = anyio.Event()
        await self._moved.wait()

    def discard(self) -> None:
        self.publish(Discard())

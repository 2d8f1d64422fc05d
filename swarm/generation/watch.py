"""A watcher's view of a request: a queue that never loses a result, and drops progress only from those who lag."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

import anyio

from swarm.generation.events import GenerationEvent, KeepAlive, Progress, Status

LAG = 512
"""How many undelivered events a watcher may have before progress is thinned out for it."""


class Watch:
    """Events on their way to one watcher. Iterate it; it ends when the request has ended."""

    def __init__(self) -> None:
        self._events: deque[GenerationEvent] = deque()
        self._news = anyio.Event()
        self._ended = False
        self.is_left = False
        """Nobody listens any more."""

    def publish(self, event: GenerationEvent) -> None:
        """Queue an event. Never blocks and never fails; after the watcher left it does nothing."""
        if self.is_left:
            return
        if len(self._events) >= LAG and isinstance(event, Progress | Status | KeepAlive):
            event = self._thinned(event)
        self._events.append(event)
        self._news.set()

    def _thinned(self, event: GenerationEvent) -> GenerationEvent:
        """Drop the oldest queued event that `event` makes stale; its metadata moves over, for it is sent only once."""
        for position, old in enumerate(self._events):
            if isinstance(event, Progress) and isinstance(old, Progress) and old.index == event.index:
                del self._events[position]
                return replace(event, metadata=event.metadata or old.metadata)
            if not isinstance(event, Progress) and type(old) is type(event):
                del self._events[position]
                return event
        return event

    def end(self) -> None:
        """No more events will come."""
        self._ended = True
        self._news.set()

    def leave(self) -> None:
        """The watcher is gone; the work goes on."""
        self.is_left = True
        self._events.clear()

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> GenerationEvent:
        while not self._events:
            if self._ended:
                raise StopAsyncIteration
            self._news = anyio.Event()
            await self._news.wait()
        return self._events.popleft()

"""Notices when the event loop stands still, and says who holds it up: blocking work there makes everybody wait.

A thread of its own asks the loop for a sign of life. When none comes, the stack of the loop's thread goes to the log.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LONGEST_WAIT = 2.0
"""Seconds without a sign of life after which the log is told."""

_BETWEEN = 0.5
_log = logging.getLogger(__name__)


class LoopWatch:
    """`lag`: seconds that the loop took for its last sign of life, or takes by now."""

    def __init__(self, longest: float = LONGEST_WAIT, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest = longest
        self._clock = clock
        self._answered = threading.Event()
        self._over = threading.Event()
        self._asked: float | None = None
        self._last = 0.0

    @property
    def lag(self) -> float:
        asked = self._asked
        return self._last if asked is None else max(self._last, self._clock() - asked)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the running loop for the length of the block. On the loop."""
        self._over.clear()
        thread = threading.Thread(
            target=self._watch, args=(asyncio.get_running_loop(), threading.get_ident()), name="loop-watch", daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._over.wait(_BETWEEN):
            self._answered.clear()
            self._asked = self._clock()
            try:
                loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:  # the loop is closed
                return
            if not self._answered.wait(self._longest):
                _log.error("The event loop stands still. Its thread is here:\n%s", _stack(thread))
                while not self._answered.wait(_BETWEEN):
                    if self._over.is_set():
                        return
                _log.warning("The event loop goes on; it stood still for %.1f seconds.", self._clock() - self._asked)
            self._last, self._asked = self._clock() - self._asked, None


def _stack(thread: int) -> str:
    frame = sys._current_frames().get(thread)
    return "".join(traceback.format_stack(frame)).rstrip() if frame is not None else "(it has ended)"

"""How a running server is asked to end: by its own routes, or because whoever controls it fell silent."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

import anyio

from swarm.base.errors import Refused

GRACE_SECONDS = 0.5
"""How long the answer to the request for an end has to leave."""

_CHECK_SECONDS = 60.0
_log = logging.getLogger(__name__)
_WORDS: Mapping[bool, str] = MappingProxyType({False: "stop", True: "restart"})


class Leaving:
    """What has to be done between the wish that the server ends and its end. The app says what, its program when."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], Awaitable[None]]] = []
        self.begun = False

    def before_the_end(self, step: Callable[[], Awaitable[None]]) -> None:
        """Have `step` done first."""
        self._steps.append(step)

    async def run(self) -> None:
        """Do all of it, once."""
        if not self.begun:
            self.begun = True
            for step in self._steps:
                await step()


class Stopping:
    """`stop(restart)` is given by whoever runs the server; None when that cannot be asked to end."""

    def __init__(
        self,
        stop: Callable[[bool], None] | None,
        clock: Callable[[], float],
        control_minutes: float = 0.0,
        leaving: Leaving | None = None,
    ) -> None:
        """`control_minutes`: the server ends when `control` was not called for that long; 0 for never."""
        self.leaving = leaving or Leaving()
        self._stop = stop
        self._clock = clock
        self._control_seconds = control_minutes * 60
        self._controlled = clock()
        self._asked = False

    @property
    def is_asked(self) -> bool:
        """Whether the server is about to end."""
        return self._asked or self.leaving.begun

    def ask(self, *, restart: bool = False) -> None:
        """End half a second from now, as SIGTERM does, and start again if so wanted. On the event loop.

        Raises Refused when the program that runs this server has to be ended itself.
        """
        if self._stop is None:
            raise Refused(f"Another program runs this server, and only that can {_WORDS[restart]} it.")
        self._asked = True
        asyncio.get_running_loop().call_later(GRACE_SECONDS, self._stop, restart)

    def control(self) -> None:
        """Whoever controls this server is still there."""
        self._controlled = self._clock()

    async def watch_control(self) -> None:
        """Runs as long as the server: ends it when control was wanted and none came."""
        while self._control_seconds > 0 and not self.is_asked:
            await anyio.sleep(min(_CHECK_SECONDS, self._control_seconds))
            if self._clock() - self._controlled > self._control_seconds:
                _log.warning("Nobody has taken control of the server in time; it stops.")
                self.ask()

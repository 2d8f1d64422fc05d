"""uvicorn around the app: how it serves, how it says that it is ready, and how it ends in two steps."""

from __future__ import annotations

import asyncio
import socket
import sys
import webbrowser
from collections.abc import Sequence
from types import FrameType
from typing import Any

import uvicorn

from swarm.api.crowd import Crowd, room_for
from swarm.app import Surroundings, build_app
from swarm.base.logs import LogBuffer
from swarm.base.stopping import Leaving
from swarm.patience import counted_by
from swarm.settings.options import LaunchOptions
from swarm.settings.server import ServerSettings


class Server(uvicorn.Server):
    """At the first wish to end, what is being made is finished; at the second it ends at once."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving, *, ready: str, browse: bool = False) -> None:
        """`ready`: the address to announce once it listens; `browse`: and to open in a browser."""
        super().__init__(config)
        self.restart = False
        self._leaving = leaving
        self._ready = ready
        self._browse = browse
        self._wanted = False
        self._ending: asyncio.Task[None] | None = None

    def leave(self, restart: bool = False) -> None:
        """End, and start anew if so wanted. May be called from a signal handler."""
        self.restart = restart
        self.should_exit = self.should_exit or self._wanted
        self._wanted = True

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._captured_signals.append(sig)
        self.leave()

    async def on_tick(self, counter: int) -> bool:
        if self._wanted and self._ending is None:
            self._ending = asyncio.create_task(self._finish())
        return await super().on_tick(counter)

    async def _finish(self) -> None:
        sys.stdout.write("Swarm finishes what it is making, then it stops.\n")
        sys.stdout.flush()
        try:
            await self._leaving.run()
        finally:
            self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            sys.stdout.write(f"Swarm is ready: {self._ready}\n")
            sys.stdout.flush()
            if self._browse:
                webbrowser.open(self._ready)


def serve(
    options: LaunchOptions, settings: ServerSettings, listeners: Sequence[socket.socket], logs: LogBuffer, address: str
) -> tuple[bool, bool]:
    """Serve until the end; whether it ever started, and whether it is to start again. Raises SwarmError."""
    leaving = Leaving()
    app = build_app(options, Surroundings(logs=logs, stop=lambda restart: server.leave(restart), leaving=leaving))
    config = uvicorn.Config(app, **uvicorn_settings(settings))
    server = Server(config, leaving, ready=address, browse=options.launch_mode != "none")
    server.run(sockets=list(listeners))
    return server.started, server.restart


def uvicorn_settings(settings: ServerSettings) -> dict[str, Any]:
    """How uvicorn serves the app."""
    network = settings.network
    proxies = [part.strip() for part in settings.user_authorization.trusted_proxies.split(",") if part.strip()]
    http, websocket = counted_by(Crowd(room_for(network.max_connections_per_address), proxies))
    return {
        "http": http,
        "ws": websocket,
        "ws_per_message_deflate": False,
        "ws_max_size": network.max_request_bytes,
        "ws_ping_interval": 30,
        "ws_ping_timeout": 120,
        "lifespan": "on",
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        # Callers could otherwise choose their own address; source_address reads the header where it is wanted.
        "proxy_headers": False,
        "server_header": False,
        "timeout_keep_alive": 30,
        "timeout_graceful_shutdown": 5,
    }

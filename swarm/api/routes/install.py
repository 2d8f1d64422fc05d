"""The first-start installer of SwarmUI, which this server does not need (swarm-core 5.6)."""

from __future__ import annotations

from swarm.access.permissions import INSTALL
from swarm.api.route import ApiSocket, Call, route
from swarm.base.errors import Refused
from swarm.base.json import JsonObject


@route("InstallConfirmWS", permission=INSTALL, websocket=True, touches=True, answers={"info?": str, "success?": bool})
async def install_confirm_ws(
    call: Call,
    socket: ApiSocket,
    theme: str,
    installed_for: str,
    backend: str,
    models: str,
    install_amd: bool,
    language: str,
    make_shortcut: bool = False,
) -> JsonObject | None:
    """Always refused: `launch.py` installs everything before the server runs, so it is installed already."""
    raise Refused("Server is already installed!")

"""Stopping, restarting and updating the server (swarm-core 6.4)."""

from __future__ import annotations

from swarm.access.permissions import AUTOMATED_CONTROL, INSTALL, RESTART, SHUTDOWN
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS, Map, Shape
from swarm.base.errors import Refused
from swarm.base.json import JsonObject

NO_UPDATES = "This server does not update itself. Stop it, update its folder, and start it again."

_UPDATE: Shape = {"count": int, "preview": [str]}
UPDATES: Shape = {"server": _UPDATE, "extensions": Map(_UPDATE), "backends": Map(_UPDATE)}


@route("ShutdownServer", permission=SHUTDOWN, touches=True, answers=SUCCESS)
async def shutdown_server(call: Call) -> JsonObject:
    """Stop the server half a second after the answer, as SIGTERM does. Unfinished jobs go on at the next start."""
    call.state.stopping.ask()
    return {"success": True}


@route("AdminTakeControl", permission=AUTOMATED_CONTROL, touches=True, answers=SUCCESS)
async def admin_take_control(call: Call) -> JsonObject:
    """Say that a program still looks after this server. With `--require-control-within` it stops when nobody does."""
    call.state.stopping.control()
    return {"success": True}


@route("CheckForUpdates", permission=RESTART, answers=UPDATES)
async def check_for_updates(call: Call) -> JsonObject:
    """No updates are looked for: `count` is 0, and `preview` says why. SwarmUI's page needs `server`."""
    return {"server": {"count": 0, "preview": [NO_UPDATES]}, "extensions": {}, "backends": {}}


@route("UpdateAndRestart", permission=RESTART, touches=True, answers={"success": bool, "result": str})
async def update_and_restart(
    call: Call,
    doUpdateServer: bool = False,
    aggressive: bool = False,
    force: bool = False,
    extensionsToUpdate: list[str] | None = None,
    backendsToUpdate: list[str] | None = None,
) -> JsonObject:
    """With `force`, start the server anew. No updates are made, whatever was asked for: `result` says so."""
    wants_update = doUpdateServer or aggressive or extensionsToUpdate or backendsToUpdate
    reasons = [NO_UPDATES] if wants_update else []
    if not force:
        return {"success": False, "result": "\n".join(reasons) or "No changes found."}
    call.state.stopping.ask(restart=True)
    return {
        "success": True,
        "result": "\n".join([*reasons, "Restarting... (please wait a moment, then refresh the page)"]),
    }


@route("InstallDotnetUpdate", permission=INSTALL, touches=True)
async def install_dotnet_update(call: Call) -> JsonObject:
    """Always refused: this server needs no .NET."""
    raise Refused("This API route is only valid on Windows.")

"""Extensions: installed, updated, removed, switched on and off (swarm-core 6.7). All of it acts at the next start."""

from __future__ import annotations

import re

from swarm.access.permissions import MANAGE_EXTENSIONS
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.errors import NotFound, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread
from swarm.extend.manage import MOST_BYTES

_REPOSITORY = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?")
_HERE = ("127.0.0.1", "::1", "::ffff:127.0.0.1")
_OFF = "Installing extensions is switched off. Put the extension's folder into the folder `extensions`, or switch on "
_NOT_HERE = "Extensions can only be installed and updated from the machine that the server runs on."


@route("InstallExtension", permission=MANAGE_EXTENSIONS, touches=True, answers=SUCCESS)
async def install_extension(call: Call, extensionName: str) -> JsonObject:
    """Install the extension at an https address: a zip file, or a repository on GitHub. It is not run before a restart.

    Only where the setting `Extensions.AllowInstall` is on, and only from the machine that the server runs on.
    """
    if not extensionName.startswith("https://"):
        raise NotFound("Unknown extension.")
    _check_allowed(call)
    archive = await _fetched(call, extensionName)
    await to_thread(call.state.upkeep.extensions.install, archive, extensionName)
    return {"success": True}


@route("UpdateExtension", permission=MANAGE_EXTENSIONS, touches=True, answers=SUCCESS)
async def update_extension(call: Call, extensionName: str) -> JsonObject:
    """Fetch an extension anew from where it was installed from; `success` is false when nothing has changed.

    The state before goes to the trash folder. What holds for InstallExtension holds here.
    """
    found = await to_thread(call.state.upkeep.extensions.find, extensionName)
    if found.origin is None:
        return {"success": False}
    _check_allowed(call)
    archive = await _fetched(call, found.origin)
    return {"success": await to_thread(call.state.upkeep.extensions.update, extensionName, archive)}


@route("UninstallExtension", permission=MANAGE_EXTENSIONS, touches=True, answers=SUCCESS)
async def uninstall_extension(call: Call, extensionName: str) -> JsonObject:
    """Move an extension's folder to the trash folder. What it has declared goes on until the next start."""
    await to_thread(call.state.upkeep.extensions.remove, extensionName)
    return {"success": True}


@route("SetExtensionEnabled", permission=MANAGE_EXTENSIONS, touches=True, answers=SUCCESS)
async def set_extension_enabled(call: Call, extensionName: str, enabled: bool) -> JsonObject:
    """Have an extension loaded, or not, from the next start on."""
    await to_thread(call.state.upkeep.extensions.set_enabled, extensionName, enabled)
    return {"success": True}


def _check_allowed(call: Call) -> None:
    """Raises Refused."""
    if not call.state.settings.extensions.allow_install:
        raise Refused(f"{_OFF}Extensions.AllowInstall.")
    if call.address not in _HERE:
        raise Refused(_NOT_HERE)


async def _fetched(call: Call, address: str) -> bytes:
    """The archive at an address. Raises UserError."""
    repository = _REPOSITORY.fullmatch(address)
    url = f"https://codeload.github.com/{repository[1]}/{repository[2]}/zip/HEAD" if repository else address
    data = bytearray()
    try:
        async with call.state.upkeep.outgoing.get(url) as answer:
            if answer.status != 200:
                raise Refused(f"The address was answered with status {answer.status}.")
            async for chunk in answer.body:
                data += chunk
                if len(data) > MOST_BYTES:
                    raise Refused("The archive is too large for an extension.")
    except (OSError, TimeoutError) as error:
        raise Refused(f"The address could not be reached: {error}") from None
    return bytes(data)

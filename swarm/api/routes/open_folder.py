"""Showing a picture in the file manager of the machine that the server runs on (swarm-t2i 7.5)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from swarm.access.permissions import LOCAL_IMAGE_FOLDER
from swarm.api.route import Call, route
from swarm.api.shapes import SUCCESS
from swarm.base.errors import NotFound, Refused
from swarm.base.json import JsonObject
from swarm.base.tasks import to_thread

_CANNOT = "Cannot open image folder on this OS."


@route("OpenImageFolder", permission=LOCAL_IMAGE_FOLDER, touches=True, answers=SUCCESS)
async def open_image_folder(call: Call, path: str) -> JsonObject:
    """Open the folder of one of the caller's pictures, on the screen of the server's machine."""
    found = await to_thread(call.state.outputs.find, call.caller.user.id, path)
    if found is None:
        raise NotFound("That file does not exist, cannot open.")
    await to_thread(_show, found)
    return {"success": True}


def _show(path: Path) -> None:
    """Blocking; returns at once. Raises Refused where there is no screen, or no program for it."""
    program = _program(path)
    if program is None:
        raise Refused(_CANNOT)
    try:
        subprocess.Popen(
            program, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, close_fds=True
        )
    except OSError:
        raise Refused(_CANNOT) from None


def _program(path: Path) -> list[str] | None:
    if sys.platform == "win32":
        return ["explorer.exe", f"/select,{path}"]
    if sys.platform == "darwin":
        return ["open", "-R", str(path)]
    opener = shutil.which("xdg-open")
    has_screen = "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
    return [opener, str(path.parent)] if opener and has_screen else None

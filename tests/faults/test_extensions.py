"""Extensions that are broken in every way: the server starts and goes on, and the log says who it was."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarm.base.watchdog import LONGEST_WAIT
from tests.conftest import World
from tests.faults.ledger import check, until, wait_until_done
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

SMALL = {"model": "tiny", "steps": 1, "width": 64, "height": 64}
BLOCKED = LONGEST_WAIT + 3.0
HOOKS = """
from swarm.ext import AFTER_BATCH, AFTER_IMAGE, BEFORE_GENERATE, PROMPT, hook

@hook(BEFORE_GENERATE)
async def before(job, user_id):
    if "raise-before" in job.input.get(PROMPT):
        raise ValueError("this hook raises")
    if "exit-before" in job.input.get(PROMPT):
        raise SystemExit(3)

@hook(AFTER_IMAGE)
async def after(done, job):
    if "raise-after" in job.input.get(PROMPT):
        raise ValueError("this hook raises")

@hook(AFTER_BATCH)
async def batch(saved, user_id):
    if any("raise-batch" in (one.metadata or "") for one in saved):
        raise ValueError("this hook raises")
"""
ROUTES = """
import sys
import time
from swarm.ext import Call, JsonObject, Level, Permission, PermissionGroup, Safety, route

GROUP = PermissionGroup(id="Odd", name="Odd", description="Odd.")
ODD = Permission(id="odd", name="Odd", group=GROUP, level=Level.GUEST, safety=Safety.SAFE, description="Be odd.")

@route("OddRaise", permission=ODD)
async def odd_raise(call: Call) -> JsonObject:
    \"\"\"Raises.\"\"\"
    raise KeyError("/etc/secret")

@route("OddExit", permission=ODD)
async def odd_exit(call: Call) -> JsonObject:
    \"\"\"Ends the program.\"\"\"
    sys.exit(3)

@route("OddBlock", permission=ODD)
async def odd_block(call: Call, seconds: float) -> JsonObject:
    \"\"\"Holds everybody up.\"\"\"
    time.sleep(seconds)
    return {"success": True}
"""


def extension(folder: Path, name: str, **files: str) -> None:
    (folder / name).mkdir(parents=True)
    about = f'id = "{name}"\nname = "{name}"\nversion = "1.0"\ndescription = "Odd."\nlicense = "MIT"\n'
    (folder / name / "extension.toml").write_text(about, encoding="utf-8")
    for module, text in files.items():
        (folder / name / f"{module}.py").write_text(text, encoding="utf-8")


class Odd:
    """A server with odd extensions."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.log = folder / "server.log"
        extensions = folder / "extensions"
        extension(extensions, "missing_import", part="import there_is_no_such_module\n")
        extension(extensions, "leaves", part="import sys\nsys.exit(7)\n")
        extension(extensions, "no_python", part="def (:\n")
        extension(extensions, "hooked", part=HOOKS)
        extension(extensions, "routed", part=ROUTES)
        self.server = ServerProcess(
            world.folder,
            free_port(),
            log=self.log,
            environment={"ODD_EXTENSIONS": str(extensions)},
            program=("-m", "tests.support.odd_server"),
        )
        self.server.wait_until_up()
        self.client = SwarmClient(self.server.base)

    def said(self, text: str) -> bool:
        return text in self.log.read_text(encoding="utf-8")


@pytest.fixture
def odd(world: World, tmp_path: Path) -> Iterator[Odd]:
    made = Odd(world, tmp_path)
    try:
        yield made
        assert made.server.child.poll() is None, "an extension took the server down"
        check(world, made.server.base)
    finally:
        made.client.http.close()
        assert made.server.stop() == 0


@pytest.mark.case("F25")
@pytest.mark.case("F28")
def test_no_extension_takes_the_server_down(odd: Odd) -> None:
    for name in ("missing_import", "leaves", "no_python"):
        assert odd.said(f"The extension {name} cannot be loaded and is skipped.")
    for word in ("raise-before", "exit-before", "raise-after", "raise-batch"):
        answer = odd.client.generate(prompt=word, **SMALL)
        assert answer.get("error", "").endswith("."), (word, answer)
        assert "hook" not in answer["error"]
    assert odd.said("this hook raises") and odd.said("wanted to end the program")
    for route in ("OddRaise", "OddExit"):
        answer = odd.client.post(route)
        assert answer == {"error_id": "internal_error", "error": "An internal error occurred"}
    assert "images" in odd.client.generate(prompt="a cat", **SMALL)
    states = wait_until_done(odd.world)
    assert states["stored"] >= 1 and not states.keys() - {"stored", "failed"}
    block(odd)


def block(odd: Odd) -> None:
    """The loop stands still: the log says where, the metrics how long, and it goes on."""
    caller = threading.Thread(target=odd.client.post, args=("OddBlock",), kwargs={"seconds": BLOCKED})
    began = time.monotonic()
    caller.start()
    until(lambda: odd.said("The event loop stands still."), BLOCKED)
    caller.join(30)
    assert time.monotonic() - began >= BLOCKED
    assert odd.said("in odd_block") and odd.said("time.sleep(seconds)")
    until(lambda: odd.said("The event loop goes on"), 5)
    (lag,) = [
        float(line.split()[1])
        for line in odd.client.http.get("/metrics").text.splitlines()
        if line.startswith("swarm_loop_lag_seconds ")
    ]
    assert 0 <= lag < BLOCKED + 5

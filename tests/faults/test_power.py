"""A power cut in the middle of the work: what was acknowledged is on the disk, although nothing was written in time."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import httpx2
import pytest

from tests.conftest import World
from tests.faults.ledger import check, ledger, wait_until_done
from tests.faults.test_kill import metadata
from tests.support.client import SwarmClient
from tests.support.power_cut import PowerCut
from tests.support.server import ServerProcess, free_port

if sys.platform != "linux" or shutil.which("cc") is None:
    pytest.skip("needs Linux and a C compiler", allow_module_level=True)

IMAGES = 12
BODY = {"images": IMAGES, "model": "tiny", "prompt": "a cat", "seed": 1, "steps": 4, "width": 64, "height": 64}


@pytest.mark.case("F30")
@pytest.mark.parametrize("heard", [0, 5])
def test_what_was_acknowledged_survives_a_power_cut(
    world: World, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, heard: int
) -> None:
    """`heard`: the picture after whose announcement it gets dark; 0: after the promise."""
    world.backends(StepMilliseconds=15, MaxUsages=2)
    power = PowerCut(tmp_path_factory.mktemp("power"), world.folder)
    log = tmp_path / "server.log"
    server = ServerProcess(world.folder, free_port(), log=log, environment=power.environment)
    server.wait_until_up()
    announced: list[str] = []
    with SwarmClient(server.base) as client, client.socket("GenerateText2ImageWS") as line:
        line.send(json.dumps({"session_id": client.session_id, **BODY}))
        for text in line:
            message = json.loads(text)
            if "image" in message:
                announced.append(message["image"])
            if len(announced) >= heard and "gen_progress" in message:
                break
        server.kill()
    assert ledger(world)
    after = tmp_path_factory.mktemp("after")
    power.cut(after)
    dark = World.__new__(World)
    dark.folder, dark.data, dark.models, dark.outputs = after, after / "Data", after / "Models", after / "Output"

    server = ServerProcess(after, free_port(), log=log)
    try:
        server.wait_until_up()
        assert wait_until_done(dark) == {"stored": IMAGES}
        for url in announced:
            assert httpx2.get(f"{server.base}/{url}", trust_env=False).status_code == 200, f"{url} is gone"
        seeds = sorted(metadata(path)["sui_image_params"]["seed"] for path in dark.outputs.rglob("*.png"))
        assert seeds == list(range(1, IMAGES + 1))
        check(dark, server.base)
    finally:
        assert server.stop() == 0

"""The same pictures by the whole server: asked for over the wire, drawn by its engine process, saved, fetched."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch")

from tests.conftest import World
from tests.engine.conftest import XL
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference, write_sd, write_xl
from tests.parity.test_samplers import CASES, SETTINGS
from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port

pytestmark = pytest.mark.torch

BACKENDS = "0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tGPU: 0\n"
PATIENCE = 120.0


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    world = World(tmp_path_factory.mktemp("parity"))
    (world.data / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
    models = world.models / "Stable-Diffusion"
    models.mkdir(parents=True)
    write_sd(models)
    write_xl(models)
    log = world.folder / "server.log"
    server = ServerProcess(world.folder, free_port(), log=log)
    try:
        server.wait_until_up()
        with SwarmClient(server.base, timeout=PATIENCE) as made:
            deadline = time.monotonic() + PATIENCE
            while made.post("GetCurrentStatus")["backend_status"]["status"] != "running":
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")[-2000:]
                time.sleep(0.1)
            yield made
    finally:
        server.stop()


@pytest.mark.parametrize("case", ["sd euler", "sd karras", "sd dpmpp_2m_sde", "sd euler_ancestral", "xl dpmpp_2m"])
def test_the_saved_picture_is_comfyuis(client: SwarmClient, case: str) -> None:
    values = {**SETTINGS, **CASES[case], "width": 64, "height": 64, "modelspecificenhancements": False}
    model = "xl" if values.pop("family") == XL else "sd"
    answer = client.generate(model=model, **values)
    assert "images" in answer, answer
    with Image.open(io.BytesIO(client.http.get(f"/{answer['images'][0]}").content)) as saved:
        found = np.asarray(saved.convert("RGB"))
    assert largest_difference(found, expected("samplers")[case]) <= DETERMINISTIC

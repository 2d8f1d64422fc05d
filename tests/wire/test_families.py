"""Every family of the batched tier from the wire to the picture: known by its tensors, its companions by name."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from PIL import Image, ImageStat

pytest.importorskip("torch")

from tests.support.client import SwarmClient
from tests.support.server import ServerProcess, free_port
from tests.support.tiny.chroma import CHROMA
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import DEV, SCHNELL
from tests.support.tiny.sdxl_refiner import REFINER
from tests.support.tiny.stable_diffusion_2 import V_MODEL
from tests.support.tiny.stable_diffusion_3 import MEDIUM, MEDIUM_35

pytestmark = [pytest.mark.torch, pytest.mark.slow]
PATIENCE = 180.0
BACKENDS = "0:\n\ttype: diffusers_selfstart\n\tenabled: true\n\tsettings:\n\t\tHangSeconds: 60\n"
BARE: dict[str, TinyFamily] = {
    "dev": DEV,
    "schnell": SCHNELL,
    "chroma": CHROMA,
    "medium": MEDIUM,
    "medium35": MEDIUM_35,
}
WHOLE: dict[str, TinyFamily] = {"sd2": V_MODEL, "refiner": REFINER}


def furnish(models: Path) -> None:
    """The models as people have them: denoisers alone, text encoders and VAEs in their own folders."""
    checkpoints, clips, vaes = models / "Stable-Diffusion", models / "text_encoders", models / "VAE"
    for folder in (checkpoints, clips, vaes):
        folder.mkdir(parents=True)
    for name, family in BARE.items():
        family.make(checkpoints, layout="bare", name=name)
        for slot, path in family.companions(models).items():
            shutil.move(path, (vaes if slot == "vae" else clips) / path.name)
    for name, family in WHOLE.items():
        family.make(checkpoints, layout="single", name=name)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SwarmClient]:
    folder = tmp_path_factory.mktemp("families")
    (folder / "Data").mkdir()
    (folder / "Data" / "Backends.fds").write_text(BACKENDS, encoding="utf-8")
    furnish(folder / "Models")
    server = ServerProcess(folder, free_port(), log=folder / "server.log")
    try:
        server.wait_until_up()
        with SwarmClient(server.base, timeout=PATIENCE) as found:
            deadline = time.monotonic() + PATIENCE
            while found.post("GetCurrentStatus")["backend_status"]["status"] != "running":
                assert time.monotonic() < deadline, (folder / "server.log").read_text(encoding="utf-8")[-2000:]
                time.sleep(0.2)
            yield found
    finally:
        server.stop()


@pytest.mark.parametrize("name", [*BARE, *WHOLE])
def test_a_picture_from_the_wire(client: SwarmClient, name: str) -> None:
    asked: dict[str, Any] = {"model": name, "prompt": "a red fox", "steps": 3, "seed": 5, "width": 64, "height": 64}
    answer = client.generate(**asked, cfgscale=3)
    assert "images" in answer, answer
    content = httpx2.get(f"{client.base}/{answer['images'][0]}", trust_env=False).content
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == (64, 64)
        assert max(ImageStat.Stat(image.convert("RGB")).stddev) > 1.0


def test_a_companion_of_the_wrong_kind_is_refused_by_name(client: SwarmClient) -> None:
    asked = {"model": "dev", "prompt": "a fox", "steps": 2, "width": 64, "height": 64}
    answer = client.generate(**asked, txxlmodel="clip_l")
    assert "'clip_l.safetensors' holds no t5xxl text encoder" in answer["error"]


def test_a_model_is_loaded_with_its_companions_ahead_of_any_picture(client: SwarmClient) -> None:
    assert client.post("SelectModel", model="chroma") == {"success": True}

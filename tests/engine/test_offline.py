"""The engine loads and draws every family with the network forbidden, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.flow_oracle import companions, model
from tests.support.tiny.auraflow import AURAFLOW
from tests.support.tiny.chroma import CHROMA
from tests.support.tiny.flux import DEV
from tests.support.tiny.flux_2 import DEV as FLUX_2_DEV
from tests.support.tiny.flux_2 import KLEIN
from tests.support.tiny.lumina_2 import LUMINA
from tests.support.tiny.pixart import SIGMA
from tests.support.tiny.qwen_image import IMAGE
from tests.support.tiny.sana import SANA
from tests.support.tiny.sdxl_refiner import REFINER
from tests.support.tiny.stable_diffusion_2 import V_MODEL
from tests.support.tiny.stable_diffusion_3 import MEDIUM
from tests.support.tiny.z_image import Z_IMAGE

pytestmark = pytest.mark.torch
PROGRAM = """
import json, sys
from pathlib import Path

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise RuntimeError(f"the engine asked the network: {event} {arguments}")

sys.addaudithook(refuse)
import socket
try:
    socket.create_connection(("127.0.0.1", 9), timeout=1)
except RuntimeError:
    print("refused")
import torch
from swarm.jobs.job import ModelFile
from tests.engine.conftest import new_bench
with torch.inference_mode():
    bench = new_bench()
    for entry in json.loads(sys.argv[1]):
        parts = {slot: ModelFile(name=slot, path=Path(path), family=None, stamp="1")
                 for slot, path in entry["parts"].items()}
        file = ModelFile(name="model", path=Path(entry["path"]), family=entry["family"], stamp="1")
        picture = bench.picture(file, 1, steps=2, parts=parts)
        print(entry["family"], float(picture.std()) > 1.0)
"""


def test_every_family_draws_without_a_network(tmp_path: Path) -> None:
    every = (DEV, CHROMA, MEDIUM, V_MODEL, REFINER, IMAGE, KLEIN, FLUX_2_DEV, Z_IMAGE, LUMINA, SIGMA, SANA, AURAFLOW)
    entries = []
    for family in every:
        folder = tmp_path / family.id
        folder.mkdir(parents=True)
        layout, parts = ("bare", companions(family, folder)) if family.files else ("single", {})
        file = model(family, family.make(folder, layout=layout))
        beside = {slot: str(part.path) for slot, part in parts.items()}
        entries.append({"family": family.id, "path": str(file.path), "parts": beside})
    folder_model = DEV.make(tmp_path, layout="folder")
    entries.append({"family": DEV.id, "path": str(folder_model), "parts": {}})
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(entries)],
        capture_output=True, text=True, timeout=240, check=False, cwd=Path(__file__).parents[2],
        env={**os.environ, "HOME": str(tmp_path), "HF_HOME": str(tmp_path / "hub"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.stdout.split("\n")[:-1] == ["refused", *(f"{entry['family']} True" for entry in entries)], done.stderr

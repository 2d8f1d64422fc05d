"""Upscalers of spandrel's kinds, where its library and torchvision are there: in processes of their own, because
transformers and diffusers choose other means beside torchvision."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessorPil

from swarm.backends.backend import BackendContext
from swarm.backends.types.local import TYPE, LocalSettings
from swarm.engine.device import choose_device
from swarm.engine.networks.depth import load as load_depth
from swarm.jobs.events import ImageDone
from swarm.jobs.job import Job, ModelFile
from swarm.media.image import Pixels
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
ROOT = Path(__file__).resolve().parents[2]
ASIDE = Path(sys.prefix) / "aside" / "upscalers"
KINDS = ("SPAN", "SwinIR", "DAT")


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@dataclass(frozen=True, kw_only=True)
class Oracle:
    """A folder of upscalers, and what the process that made them said."""

    folder: Path
    image: torch.Tensor
    said: Mapping[str, Any]


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    assert (ASIDE / "spandrel").is_dir(), "`python3 launch.py check` puts spandrel there"
    folder = tmp_path_factory.mktemp("spandrel")
    image = torch.rand(1, 3, 40, 24, generator=torch.Generator().manual_seed(3))
    save_file({"image": image}, folder / "image.safetensors")
    write_depth(folder / "depth")
    path = os.pathsep.join((str(ASIDE), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.spandrel_oracle", str(folder)],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return Oracle(folder=folder, image=image, said=json.loads(done.stdout))


def write_depth(folder: Path) -> None:
    """A depth model as it is published: its preparation named without the means it works by."""
    torch.manual_seed(1)
    config = DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
    )  # fmt: skip
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    written = folder / "preprocessor_config.json"
    written.write_text(written.read_text("utf-8").replace("DPTImageProcessorPil", "DPTImageProcessor"), "utf-8")


@pytest.mark.parametrize("kind", KINDS)
def test_its_kinds_are_read_and_enlarge_as_they_do_by_themselves(oracle: Oracle, kind: str) -> None:
    said = oracle.said[kind]
    assert (said["scale"], said["shape"]) == (2, [1, 3, 80, 48])
    assert said["difference"] < 1e-5
    assert said["spread"] > 1e-3


def test_what_spandrel_does_not_know_is_said_to_be_unknown(oracle: Oracle) -> None:
    assert oracle.said["odd"] == "The file 'odd.safetensors' is no upscaler that is known here."


def test_depth_is_the_same_beside_torchvision(oracle: Oracle) -> None:
    found = load_depth(file_of(oracle.folder / "depth"), choose_device(0, "float32"))(oracle.image)
    assert torch.allclose(found.flatten(), torch.tensor(oracle.said["depth"]), atol=1e-5)


@pytest.mark.anyio
async def test_an_engine_beside_torchvision_draws_and_enlarges(
    bench: Bench, files: Mapping[str, ModelFile], oracle: Oracle, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ASIDE))
    backend = TYPE.make(BackendContext(id=0, data_dir=path, models_roots=()), LocalSettings())

    async def drawn(id: str, **more: Any) -> Pixels:
        asked = {"prompt": "a fox", "steps": 3, "width": 64, "height": 64, "cfgscale": 6.0, **more}
        used = {"upscaler": file_of(oracle.folder / f"{id}.safetensors")}
        job = Job(id=id, input=GenerationInput(asked), model=files[SD], seeds=(7,), files=used)
        async with aclosing(backend.generate(job)) as events:
            found = [event.result async for event in events if isinstance(event, ImageDone)]
        assert len(found) == 1 and isinstance(found[0], Pixels)
        return found[0]

    await backend.start(lambda _reason: None)
    try:
        plain = await drawn("plain")
        assert plain.data == bytes(bench.picture(files[SD], 7).byte().flatten().tolist())
        asked = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.0, "refinerupscale": 2.0}
        for kind in KINDS:
            large = await drawn(kind, **asked, refinerupscalemethod=f"model-{kind}.safetensors")
            assert (large.width, large.height) == (128, 128)
            assert len(set(large.data)) > 2
    finally:
        await backend.stop()

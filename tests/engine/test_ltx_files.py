"""LTX-Video from single files: every weight arrives where it belongs, from text and from a picture."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_videos import picture, result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import encoders, ltx_files, ltx_later_files

pytestmark = pytest.mark.torch
FAMILY = "lightricks-ltx-video"


@pytest.fixture
def beside(path: Path) -> dict[str, ModelFile]:
    return {"t5xxl": model_file(encoders.t5_file(path / "t5xxl_fp16.safetensors", encoders.t5()))}


def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(ltx_files.save(path), FAMILY)
    pipe = load_single(file, beside, torch.float32, choose_device(0, "auto"))
    same_weights(pipe.transformer, ltx_files.transformer())
    same_weights(pipe.vae, ltx_files.vae())
    assert pipe.tokenizer("a cat").input_ids[-1] == 1


def test_clips_from_text_and_from_a_picture(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(ltx_files.save(path), FAMILY)
    clip = result(run(bench, file, parts=beside))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert result(run(bench, file, parts=beside, initimage=picture())).data != clip.data
    id = bench.submit(file)
    bench.finish()
    assert "models/clip" in bench.failure(id).sentence


def test_the_later_layout(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    """0.9.5 and what followed: steps down of four kinds, and a decoder that is told how much noise is left."""
    file = model_file(ltx_later_files.save(path), FAMILY)
    pipe = load_single(file, beside, torch.float32, choose_device(0, "auto"))
    same_weights(pipe.transformer, ltx_files.transformer())
    same_weights(pipe.vae, ltx_later_files.vae())
    assert pipe.vae.config.timestep_conditioning
    assert (pipe.vae_spatial_compression_ratio, pipe.vae_temporal_compression_ratio) == (32, 8)
    clip = result(run(bench, file, parts=beside))
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert result(run(bench, file, parts=beside, initimage=picture())).data != clip.data

"""Wan 2.2 5B from single files: from text, from a picture as its first frame, and with a VAE of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_videos import picture, result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import wan_5b_files, wan_files

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return model_file(wan_5b_files.save(tmp_path_factory.mktemp("5b")), wan_5b_files.FAMILY)


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "umt5xxl": model_file(wan_files.save_text_encoder(folder)),
        "vae": model_file(wan_5b_files.save_vae(folder)),
    }


def test_every_weight_arrives(file: ModelFile, beside: dict[str, ModelFile]) -> None:
    pipe = load_single(file, beside, torch.float32, choose_device(0, "auto"))
    same_weights(pipe.transformer, wan_5b_files.transformer())
    same_weights(pipe.vae, wan_5b_files.vae())
    assert pipe.config.expand_timesteps
    assert (pipe.vae_scale_factor_spatial, pipe.vae_scale_factor_temporal) == (16, 4)
    assert pipe.vae.config.latents_mean[:2] == [-0.2289, -0.0052]
    assert len(pipe.vae.config.latents_std) == 48


def test_clips_from_text_and_from_a_picture(bench: Bench, file: ModelFile, beside: dict[str, ModelFile]) -> None:
    clip = result(run(bench, file, parts=beside, textvideoframes=5))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 5)
    begun = result(run(bench, file, parts=beside, textvideoframes=5, initimage=picture()))
    assert begun.count == 5
    assert begun.data != clip.data


def test_a_clip_goes_on_from_several_frames(bench: Bench, file: ModelFile, beside: dict[str, ModelFile]) -> None:
    """Their latents are given without noise, at a noise level of their own."""
    files = {"videoextendmodel": file, **{f"videoextendmodel:{slot}": part for slot, part in beside.items()}}
    ask: dict[str, Any] = {"videoextendmodel": "5b", "parts": beside, "files": files}
    ask["prompt"] = "a fox <extend:9//cid=11>"
    before = result(run(bench, file, parts=beside, prompt="a fox"))
    clip = result(run(bench, file, **ask, videoextendframeoverlap=5))
    assert clip.count == 9 + 9 - 5
    assert clip.data.startswith(before.data)
    one = result(run(bench, file, **ask, videoextendframeoverlap=1))
    until = one.frame_bytes * 9
    assert one.data[until:][: one.frame_bytes] != clip.data[until:][: one.frame_bytes]


def test_another_vae_is_refused_by_name(
    bench: Bench, file: ModelFile, beside: dict[str, ModelFile], path: Path
) -> None:
    for parts in ({"umt5xxl": beside["umt5xxl"]}, {**beside, "vae": model_file(wan_files.save_vae(path))}):
        id = bench.submit(file, parts=parts)
        bench.finish()
        assert "wan2.2_vae.safetensors' into the folder models/VAE" in bench.failure(id).sentence

"""Stable Video Diffusion from its single file: every weight arrives where it belongs, and a picture starts to move."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_videos import picture, result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import svd_files

pytestmark = [
    pytest.mark.torch,
    # diffusers' own scheduler calls numpy in a way that numpy warns about.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def test_every_weight_arrives(path: Path) -> None:
    pipe = load_single(model_file(svd_files.save(path), svd_files.FAMILY), {}, torch.float32, choose_device(0, "auto"))
    own = svd_files.pipeline()
    same_weights(pipe.unet, own.unet)
    same_weights(pipe.vae, own.vae)
    same_weights(pipe.image_encoder, own.image_encoder)
    assert pipe.scheduler.config == own.scheduler.config
    assert pipe.feature_extractor.crop_size == own.feature_extractor.crop_size
    assert pipe.unet.config.num_frames == 14


def test_a_picture_becomes_a_clip(bench: Bench, path: Path) -> None:
    file = model_file(svd_files.save(path), svd_files.FAMILY)
    clip = result(run(bench, file, initimage=picture(), textvideoframes=5))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 5)
    assert result(run(bench, file, initimage=picture(), textvideoframes=5, videomotionbucket=800)).data != clip.data


def test_a_file_with_less_in_it_is_refused_by_name(bench: Bench, path: Path) -> None:
    tensors = load_file(svd_files.save(path))
    bare = path / "bare.safetensors"
    save_file({name: tensor for name, tensor in tensors.items() if not name.startswith("conditioner.")}, bare)
    id = bench.submit(model_file(bare, svd_files.FAMILY), initimage=picture())
    bench.finish()
    assert "holds no image encoder" in bench.failure(id).sentence
    assert "svd_xt.safetensors" in bench.failure(id).sentence

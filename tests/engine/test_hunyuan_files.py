"""HunyuanVideo from single files, in both spellings that are about; what lacks is named with its folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.jobs.job import ModelFile
from swarm.media.clip import Clip
from tests.engine.conftest import Bench
from tests.engine.test_videos import result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import hunyuan_files, wan_files

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "llama": model_file(hunyuan_files.save_llama(folder)),
        "clip_l": model_file(hunyuan_files.save_clip(folder)),
        "vae": model_file(hunyuan_files.save_vae(folder)),
    }


@pytest.mark.parametrize("repacked", [False, True])
def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path, repacked: bool) -> None:
    file = model_file(hunyuan_files.save(path, repacked=repacked), hunyuan_files.FAMILY)
    parts = {**beside, "vae": model_file(hunyuan_files.save_vae(path, repacked=repacked))}
    pipe = load_single(file, parts, torch.float32, choose_device(0, "auto"))
    same_weights(pipe.transformer, hunyuan_files.pipeline().transformer)
    same_weights(pipe.vae, hunyuan_files.pipeline().vae)
    same_weights(pipe.text_encoder, hunyuan_files.llama())
    same_weights(pipe.text_encoder_2, hunyuan_files.clip())
    assert pipe.transformer.config.guidance_embeds
    assert pipe.text_encoder.config.rope_parameters["rope_theta"] == 500_000.0


def test_a_clip_from_text(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(hunyuan_files.save(path), hunyuan_files.FAMILY)
    clip = result(run(bench, file, parts=beside))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert result(run(bench, file, parts=beside, prompt="something else")).data != clip.data


def test_what_is_missing_or_another_s_is_named(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(hunyuan_files.save(path), hunyuan_files.FAMILY)
    lacks = {"llama": "llava_llama3", "clip_l": "'clip_l.safetensors'", "vae": "'hunyuan_video_vae_bf16.safetensors'"}
    for slot, usual in lacks.items():
        id = bench.submit(file, parts={name: part for name, part in beside.items() if name != slot})
        bench.finish()
        assert usual in bench.failure(id).sentence
        assert "into the folder models/" in bench.failure(id).sentence
    id = bench.submit(file, parts={**beside, "vae": model_file(wan_files.save_vae(path))})
    bench.finish()
    assert "is not the one of HunyuanVideo" in bench.failure(id).sentence

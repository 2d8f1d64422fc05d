"""HunyuanVideo from a picture from single files, in both versions: the clips that a folder makes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.test_videos import picture, result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import hunyuan_files, hunyuan_picture_files

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "llama": model_file(hunyuan_picture_files.save_llama(folder)),
        "clip_vision": model_file(hunyuan_picture_files.save_eyes(folder)),
        "clip_l": model_file(hunyuan_files.save_clip(folder)),
        "vae": model_file(hunyuan_files.save_vae(folder)),
    }


@pytest.mark.parametrize("kind", hunyuan_picture_files.FAMILIES)
def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path, kind: str) -> None:
    file = model_file(hunyuan_picture_files.save(path, kind), hunyuan_picture_files.FAMILIES[kind])
    pipe = load_single(file, beside, torch.float32, choose_device(0, "auto"))
    own = hunyuan_picture_files.pipeline(kind)
    for part in ("transformer", "vae", "text_encoder_2"):
        same_weights(getattr(pipe, part), getattr(own, part))
    same_weights(pipe.text_encoder.model, own.text_encoder.model)
    assert pipe.transformer.config.image_condition_type == kind
    assert pipe.text_encoder.config.vision_config.image_size == 336


@pytest.mark.parametrize("kind", hunyuan_picture_files.FAMILIES)
def test_the_same_clip_as_the_folder_s(bench: Bench, beside: dict[str, ModelFile], path: Path, kind: str) -> None:
    hunyuan_picture_files.pipeline(kind).save_pretrained(path / "folder")
    file = model_file(hunyuan_picture_files.save(path, kind), hunyuan_picture_files.FAMILIES[kind])
    whole = result(run(bench, model_file(path / "folder"), initimage=picture(), prompt="a red fox"))
    clip = result(run(bench, file, parts=beside, initimage=picture(), prompt="a red fox"))
    assert (clip.width, clip.height, clip.count) == (64, 64, whole.count)
    # Queries, keys and values are one layer in the file: they lie elsewhere in memory, and are rounded otherwise.
    assert max(abs(one - other) for one, other in zip(clip.data, whole.data, strict=True)) <= 1
    assert len(set(clip.data)) > 8


def test_what_is_missing_is_named(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(hunyuan_picture_files.save(path, "latent_concat"), "hunyuan-video-i2v")
    id = bench.submit(file, parts={name: part for name, part in beside.items() if name != "clip_vision"})
    bench.finish()
    assert "'llava_llama3_vision.safetensors' into the folder models/clip_vision" in bench.failure(id).sentence
    deaf = model_file(hunyuan_files.save_llama(path))
    id = bench.submit(file, parts={**beside, "llama": deaf})
    bench.finish()
    assert "knows no pictures" in bench.failure(id).sentence

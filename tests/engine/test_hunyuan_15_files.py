"""HunyuanVideo 1.5 from single files: the same clips as a folder makes, from text and from a picture."""

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
from tests.support.tiny import hunyuan_15_files, hunyuan_files

pytestmark = pytest.mark.torch
_PARTS = ("transformer", "vae", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "qwen2.5vl": model_file(hunyuan_15_files.save_language_model(folder)),
        "byt5": model_file(hunyuan_15_files.save_glyphs(folder)),
        "vae": model_file(hunyuan_15_files.save_vae(folder)),
        "clip_vision": model_file(hunyuan_15_files.save_eyes(folder)),
    }


def blind(beside: dict[str, ModelFile]) -> dict[str, ModelFile]:
    return {slot: part for slot, part in beside.items() if slot != "clip_vision"}


@pytest.mark.parametrize("fused", [False, True])
def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path, fused: bool) -> None:
    file = model_file(hunyuan_15_files.save(path, fused=fused), hunyuan_15_files.FAMILY)
    pipe = load_single(file, beside, torch.float32, choose_device(0, "auto"))
    for name in _PARTS:
        same_weights(getattr(pipe, name), hunyuan_15_files.parts()[name])
    same_weights(pipe.image_encoder, hunyuan_15_files.eyes())
    assert pipe.scheduler.config.shift == 7.0


def test_the_same_clip_as_the_folder_s(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    """What stands in quotes is read by ByT5 too."""
    hunyuan_15_files.from_text().save_pretrained(path / "folder")
    file = model_file(hunyuan_15_files.save(path), hunyuan_15_files.FAMILY)
    prompt = 'a red fox says "hello"'
    whole = result(run(bench, model_file(path / "folder"), prompt=prompt))
    clip = result(run(bench, file, parts=blind(beside), prompt=prompt))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert clip.data == whole.data
    assert result(run(bench, file, parts=blind(beside), prompt='a red fox says "hey"')).data != clip.data
    assert result(run(bench, file, parts=blind(beside), prompt=prompt, cfgscale=1.0)).data != clip.data


def test_the_same_clip_from_a_picture(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    hunyuan_15_files.from_picture().save_pretrained(path / "folder")
    file = model_file(hunyuan_15_files.save(path), hunyuan_15_files.FAMILY)
    whole = result(run(bench, model_file(path / "folder"), initimage=picture()))
    clip = result(run(bench, file, parts=beside, initimage=picture()))
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert clip.data == whole.data
    assert result(run(bench, file, parts=beside)).data != clip.data


def test_what_is_missing_or_another_s_is_named(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(hunyuan_15_files.save(path), hunyuan_15_files.FAMILY)
    lacks = {"qwen2.5vl": "'qwen_2.5_vl_7b", "byt5": "'byt5_small", "vae": "'hunyuanvideo15_vae_fp16.safetensors'"}
    for slot, usual in lacks.items():
        id = bench.submit(file, parts={name: part for name, part in beside.items() if name != slot})
        bench.finish()
        assert usual in bench.failure(id).sentence
    id = bench.submit(file, parts={**beside, "vae": model_file(hunyuan_files.save_vae(path))})
    bench.finish()
    assert "is not the one of HunyuanVideo 1.5" in bench.failure(id).sentence
    id = bench.submit(file, parts=blind(beside), initimage=picture(), steps=1, textvideoframes=1)
    bench.finish()
    assert "'sigclip_vision_patch14_384.safetensors' into the folder models/clip_vision" in bench.failure(id).sentence

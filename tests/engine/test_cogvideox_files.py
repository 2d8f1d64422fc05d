"""CogVideoX from single files: the same clips as a folder makes, of all five kinds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.engine.device import choose_device
from swarm.engine.whole.singles import load_single
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.test_videos import picture, result, run
from tests.engine.test_wan_files import model_file, same_weights
from tests.support.tiny import cogvideox_files, encoders, wan_files
from tests.support.tiny.weights import plain_config

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "t5xxl": model_file(encoders.t5_file(folder / "t5xxl_fp16.safetensors", encoders.t5())),
        "vae": model_file(cogvideox_files.save_vae(folder)),
    }


def family(kind: str) -> str:
    return cogvideox_files.PICTURE if "i2v" in kind else cogvideox_files.TEXT


def plain(module: Any) -> dict[str, Any]:
    """What a module was made by, lists as tuples."""
    return {name: tuple(each) if isinstance(each, list) else each for name, each in plain_config(module).items()}


@pytest.mark.parametrize("kind", cogvideox_files.KINDS)
def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path, kind: str) -> None:
    file = model_file(
        cogvideox_files.save(path, kind, prefix="model.diffusion_model.", respelled="i2v" in kind), family(kind)
    )
    parts = {**beside, "vae": model_file(cogvideox_files.save_vae(path, published=True))}
    pipe = load_single(file, parts, torch.float32, choose_device(0, "auto"))
    own = cogvideox_files.pipeline(kind)
    for part in ("transformer", "vae", "text_encoder"):
        same_weights(getattr(pipe, part), getattr(own, part))
    assert type(pipe) is type(own)
    assert dict(pipe.scheduler.config) == dict(own.scheduler.config)
    for part in ("transformer", "vae"):
        found, wanted = (plain(getattr(made, part)) for made in (pipe, own))
        assert found == wanted
    learned = dict(pipe.transformer.named_buffers()).get("patch_embed.pos_embedding")
    if kind == "5b-i2v":
        torch.testing.assert_close(learned, own.transformer.patch_embed.pos_embedding, check_dtype=False)


@pytest.mark.parametrize("kind", ["2b", "5b-i2v", "1.5"])
def test_the_same_clip_as_the_folder_s(bench: Bench, beside: dict[str, ModelFile], path: Path, kind: str) -> None:
    cogvideox_files.pipeline(kind).save_pretrained(path / "folder")
    given: dict[str, Any] = {"initimage": picture()} if "i2v" in kind else {}
    whole = result(run(bench, model_file(path / "folder"), **given))
    clip = result(run(bench, model_file(cogvideox_files.save(path, kind), family(kind)), parts=beside, **given))
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert clip.data == whole.data


def test_what_is_missing_or_another_s_is_named(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(cogvideox_files.save(path, "5b"), cogvideox_files.TEXT)
    for slot, usual in {"t5xxl": "'t5xxl_fp16.safetensors'", "vae": "'cogvideox_vae_bf16.safetensors'"}.items():
        id = bench.submit(file, parts={name: part for name, part in beside.items() if name != slot})
        bench.finish()
        assert usual in bench.failure(id).sentence
    id = bench.submit(file, parts={**beside, "vae": model_file(wan_files.save_vae(path))})
    bench.finish()
    assert "is not the one of CogVideoX" in bench.failure(id).sentence

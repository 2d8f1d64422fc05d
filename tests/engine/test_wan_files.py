"""Wan from single files: every weight arrives where it belongs, and what is missing is named."""

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
from tests.support.tiny import wan_files
from tests.support.tiny.video import wan_transformer

pytestmark = pytest.mark.torch
TEXT, PICTURE = "wan-2_1-text2video-1_3b", "wan-2_1-image2video-14b"


def model_file(path: Path, family: str | None = None) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=family, stamp="1")


@pytest.fixture(scope="module")
def beside(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelFile]:
    folder = tmp_path_factory.mktemp("beside")
    return {
        "umt5xxl": model_file(wan_files.save_text_encoder(folder)),
        "vae": model_file(wan_files.save_vae(folder)),
        "clip_vision": model_file(wan_files.save_eyes(folder)),
    }


def same_weights(found: Any, wanted: Any) -> None:
    ours, theirs = dict(found.named_parameters()), dict(wanted.named_parameters())
    assert set(ours) == set(theirs)
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight.half().float(), msg=name)


def test_every_weight_arrives(beside: dict[str, ModelFile], path: Path) -> None:
    pipe = load_single(model_file(wan_files.save(path), TEXT), beside, torch.float32, choose_device(0, "auto"))
    torch.manual_seed(0)
    same_weights(pipe.transformer, wan_transformer())
    same_weights(pipe.vae, wan_files.vae())
    same_weights(pipe.text_encoder, wan_files.text_encoder())
    assert type(pipe).__name__ == "WanPipeline"
    assert pipe.scheduler.config.flow_shift == 8.0
    assert pipe.tokenizer("a cat").input_ids[-1] == pipe.tokenizer.convert_tokens_to_ids("</s>")


def test_a_clip_from_text(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(wan_files.save(path), TEXT)
    clip = result(run(bench, file, parts=beside))
    assert isinstance(clip, Clip)
    assert (clip.width, clip.height, clip.count) == (64, 64, 9)
    assert result(run(bench, file, parts=beside, sigmashift=1.0)).data != clip.data


def test_a_clip_from_a_picture_by_two_models(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    """Wan 2.1 sees the picture through CLIP; Wan 2.2 has two transformers, each with its share of the steps."""
    seeing = model_file(wan_files.save(path, channels=36, eyes=8, name="seeing"), PICTURE)
    assert isinstance(result(run(bench, seeing, parts=beside, initimage=picture())), Clip)
    high = model_file(wan_files.save(path, channels=36, name="high"), "wan-2_2-image2video-14b")
    low = model_file(wan_files.save(path, channels=36, name="low", seed=9), "wan-2_2-image2video-14b")
    values: dict[str, Any] = {"initimage": picture(), "steps": 4, "videoswapmodel": "low"}

    def clip(first: ModelFile, second: ModelFile, share: float) -> bytes:
        made = result(run(bench, first, **values, parts={**beside, "swap": second}, videoswappercent=share))
        found: bytes = made.data
        return found

    alone = result(run(bench, high, initimage=picture(), steps=4, parts=beside)).data
    assert clip(high, low, 0.0) == alone
    assert clip(high, low, 1.0) == clip(low, high, 0.0)
    assert len({clip(high, low, 0.5), clip(high, low, 0.25), alone}) == 3


def test_what_is_missing_is_named(bench: Bench, beside: dict[str, ModelFile], path: Path) -> None:
    file = model_file(wan_files.save(path), TEXT)
    for slot, usual in (("umt5xxl", "models/clip"), ("vae", "wan_2.1_vae.safetensors")):
        id = bench.submit(file, parts={name: part for name, part in beside.items() if name != slot})
        bench.finish()
        assert bench.failure(id).kind == "bad_input"
        assert usual in bench.failure(id).sentence


def test_a_family_without_a_loader_asks_for_a_folder(bench: Bench, path: Path) -> None:
    file = model_file(wan_files.save(path), "genmo-mochi-1")
    id = bench.submit(file)
    bench.finish()
    assert "only run from a diffusers folder" in bench.failure(id).sentence

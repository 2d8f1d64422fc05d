"""Chroma through the engine: every layout, diffusers' own picture with real guidance, prompts of different lengths."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.device import choose_device
from swarm.engine.packing import packed
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, given, model, noise, pixels
from tests.support.tiny.chroma import CHROMA

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(1.0, 10_000)
PROMPT, NEGATIVE = "a red fox in the snow", "blurry"
ASKED: dict[str, Any] = {
    "prompt": PROMPT,
    "negativeprompt": NEGATIVE,
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("chroma")


@pytest.fixture(scope="module")
def whole(folder: Path) -> ModelFile:
    return model(CHROMA, CHROMA.make(folder, layout="single"))


def seen(pipe: Any, text: str) -> torch.Tensor:
    """A prompt's tokens without padding. The pipeline shows the network the first padding token too, ComfyUI none."""
    tokens, mask = pipe._get_t5_prompt_embeds(prompt=text)
    seen: torch.Tensor = tokens[:, : int(mask.sum()) - 1]
    return seen


def test_a_picture_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    pipe = given(CHROMA.reference(), TABLE, 4)
    told, against = seen(pipe, PROMPT), seen(pipe, NEGATIVE)
    result = pipe(
        prompt_embeds=told, prompt_attention_mask=torch.ones(1, told.shape[1]),
        negative_prompt_embeds=against, negative_prompt_attention_mask=torch.ones(1, against.shape[1]),
        guidance_scale=4.0, height=64, width=64, num_inference_steps=4, latents=packed(noise(7)), output_type="pt",
    )  # fmt: skip
    found = bench.picture(whole, 7, **ASKED)
    expected = pixels(result)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded"])
def test_every_layout_makes_the_same_picture(bench: Bench, whole: ModelFile, folder: Path, layout: str) -> None:
    beside: Mapping[str, ModelFile] = companions(CHROMA, folder)
    file = model(CHROMA, CHROMA.make(folder, layout=layout, name=layout))
    id = bench.submit(file, (3,), parts={} if file.path.is_dir() else beside, **ASKED)
    bench.finish()
    assert (bench.pixels(id) - bench.picture(whole, 3, **ASKED)).abs().max() <= 1.0


def test_every_weight_arrives(whole: ModelFile) -> None:
    found = families().load(whole, choose_device(0, "auto"), {})
    weights = dict(found.denoiser.named_parameters())
    for name, weight in CHROMA.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, whole: ModelFile) -> None:
    wishes: list[dict[str, Any]] = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 4.0},
        {"prompt": "a very long " * 20, "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue"},
        {"prompt": "a (cat:1.5) in a house", "steps": 4, "cfgscale": 1.0},
    ]
    alone = [bench.picture(whole, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(whole, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0

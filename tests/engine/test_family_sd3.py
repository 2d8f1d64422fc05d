"""Stable Diffusion 3 and 3.5 through the engine: every layout, diffusers' own picture, T5 left out, company."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.device import choose_device
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, given, model, noise, pixels
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.stable_diffusion_3 import FAMILIES, MEDIUM, MEDIUM_35, make_without_text

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(3.0)
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
    return tmp_path_factory.mktemp("sd3")


@pytest.fixture(scope="module")
def medium(folder: Path) -> ModelFile:
    return model(MEDIUM, MEDIUM.make(folder, layout="single"))


def reference(family: TinyFamily) -> Any:
    """diffusers' pipeline. Published CLIP-L files have no projection; folders have one that changes nothing."""
    pipe = family.reference()
    projection = pipe.text_encoder.text_projection.weight
    projection.copy_(torch.eye(projection.shape[0]))
    return given(pipe, TABLE, 4)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: str(family.id))
def test_a_picture_is_the_pipelines_picture(bench: Bench, folder: Path, family: TinyFamily) -> None:
    result = reference(family)(
        prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=4.0, height=64, width=64, num_inference_steps=4,
        latents=noise(7), max_sequence_length=77, output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    found = bench.picture(model(family, family.make(folder, layout="single")), 7, **ASKED)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded"])
def test_every_layout_makes_the_same_picture(bench: Bench, medium: ModelFile, folder: Path, layout: str) -> None:
    beside: Mapping[str, ModelFile] = companions(MEDIUM, folder)
    if layout in ("folder", "sharded"):
        pipe = reference(MEDIUM)
        path = folder / layout
        pipe.save_pretrained(path, max_shard_size="100KB" if layout == "sharded" else "1GB")
    else:
        path = MEDIUM.make(folder, layout=layout, name=layout)
    id = bench.submit(model(MEDIUM, path), (3,), parts={} if path.is_dir() else beside, **ASKED)
    bench.finish()
    assert (bench.pixels(id) - bench.picture(medium, 3, **ASKED)).abs().max() <= 1.0


def test_every_weight_arrives(folder: Path) -> None:
    file = model(MEDIUM_35, MEDIUM_35.make(folder, layout="single", name="three-five"))
    found = families().load(file, choose_device(0, "auto"), {})
    weights = found.denoiser.state_dict()
    for name, weight in MEDIUM_35.denoiser().state_dict().items():
        assert torch.equal(weights[name], weight), name


def test_t5_may_be_left_out(bench: Bench, medium: ModelFile, folder: Path) -> None:
    beside = companions(MEDIUM, folder)
    file = model(MEDIUM, make_without_text(folder, MEDIUM))
    id = bench.submit(file, (3,), parts={slot: beside[slot] for slot in ("clip_l", "clip_g")}, **ASKED)
    bench.finish()
    made = bench.pixels(id)
    assert (made - bench.picture(medium, 3, **ASKED)).abs().max() > 2.0
    components = families().load(file, choose_device(0, "auto"), {slot: beside[slot] for slot in ("clip_l", "clip_g")})
    assert len(components.text_modules) == 2


def test_encoders_may_be_silenced(bench: Bench, medium: ModelFile) -> None:
    pipe = reference(MEDIUM)
    tokens = pipe._get_t5_prompt_embeds(prompt=[PROMPT, NEGATIVE], num_images_per_prompt=1, max_sequence_length=77)
    summary = torch.zeros(2, pipe.transformer.config.pooled_projection_dim)
    expected = pixels(
        pipe(
            prompt_embeds=tokens[:1], negative_prompt_embeds=tokens[1:], pooled_prompt_embeds=summary[:1],
            negative_pooled_prompt_embeds=summary[1:], guidance_scale=4.0, height=64, width=64, num_inference_steps=4,
            latents=noise(7), output_type="pt",
        )
    )  # fmt: skip
    found = bench.picture(medium, 7, **ASKED, sdtextencs="T5 Only")
    assert (found - expected).abs().max() <= 2.0
    both = bench.picture(medium, 7, **ASKED)
    assert torch.equal(bench.picture(medium, 7, **ASKED, sdtextencs="CLIP + T5"), both)
    assert not torch.equal(bench.picture(medium, 7, **ASKED, sdtextencs="CLIP Only"), both)
    assert not torch.equal(found, both)


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, medium: ModelFile) -> None:
    wishes: list[dict[str, Any]] = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 4.0},
        {"prompt": "a very long " * 40, "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue"},
        {"prompt": "a (cat:1.5) in a house", "steps": 4, "cfgscale": 1.0, "sigmashift": 6.0},
        {"prompt": "a dog", "steps": 4, "cfgscale": 4.0, "sampler": "dpmpp_2m", "width": 64, "height": 64},
    ]
    alone = [bench.picture(medium, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(medium, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_odd_sizes_work(bench: Bench, medium: ModelFile) -> None:
    assert bench.picture(medium, 2, **{**ASKED, "width": 72, "height": 88}).shape == (88, 72, 3)

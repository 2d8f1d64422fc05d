"""Flux.1 through the engine: every layout, diffusers' own picture, company, guidance, fill, references, LoRAs."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp
from pathlib import Path

import pytest
import torch

from swarm.base.errors import BadInput
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.device import choose_device
from swarm.engine.packing import packed
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import PROMPT, companions, given, model, noise, pixels
from tests.support.tiny.flux import DEV, FAMILIES, FILL, KONTEXT, SCHNELL

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(exp(1.15), 10_000)
ASKED = {"prompt": PROMPT, "steps": 4, "cfgscale": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flux")


@pytest.fixture(scope="module")
def dev(folder: Path) -> ModelFile:
    return model(DEV, DEV.make(folder, layout="single"))


@pytest.fixture(scope="module")
def beside(folder: Path) -> Mapping[str, ModelFile]:
    return companions(DEV, folder)


def test_a_picture_is_the_pipelines_picture(bench: Bench, dev: ModelFile) -> None:
    pipe = given(DEV.reference(), TABLE, 4)
    result = pipe(
        prompt=PROMPT.replace("(blue house:1.0)", "blue house"), guidance_scale=3.5, height=64, width=64,
        num_inference_steps=4, latents=packed(noise(7)), max_sequence_length=256, output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    found = bench.picture(dev, 7, **ASKED)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded"])
def test_every_layout_makes_the_same_picture(
    bench: Bench, dev: ModelFile, beside: Mapping[str, ModelFile], folder: Path, layout: str
) -> None:
    file = model(DEV, DEV.make(folder, layout=layout, name=layout))
    id = bench.submit(file, (3,), parts={} if file.path.is_dir() else beside, **ASKED)
    bench.finish()
    assert (bench.pixels(id) - bench.picture(dev, 3, **ASKED)).abs().max() <= 1.0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.id.rpartition("/")[2])
def test_every_weight_arrives(folder: Path, family: object) -> None:
    assert family in FAMILIES
    chosen = FAMILIES[FAMILIES.index(family)]
    file = model(chosen, chosen.make(folder, layout="single"))
    found = families().load(file, choose_device(0, "auto"), {})
    weights = dict(found.denoiser.named_parameters())
    for name, weight in chosen.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, dev: ModelFile) -> None:
    """Other prompts, lengths, steps, guidance, samplers, in the same calls."""
    wishes = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 1.0},
        {"prompt": "a dog (on:1.4) the house", "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue"},
        {"prompt": "word " * 300, "steps": 4, "cfgscale": 1.0, "fluxguidancescale": 1.5},
        {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "fluxdisableguidance": True},
        {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "sampler": "heun", "sigmashift": 0.5},
    ]
    alone = [bench.picture(dev, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(dev, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_guidance_shift_and_weights_are_heard(bench: Bench, dev: ModelFile) -> None:
    plain = bench.picture(dev, 5, **ASKED)
    for change in (
        {"fluxguidancescale": 12.0},
        {"fluxdisableguidance": True},
        {"sigmashift": 4.0},
        {"prompt": "(a red fox in the snow, photo of a blue house:9)"},
        {"clipstopatlayer": -2},
    ):
        assert (bench.picture(dev, 5, **{**ASKED, **change}) - plain).abs().max() > 2.0, change


def test_the_usual_guidance_is_three_and_a_half(bench: Bench, dev: ModelFile) -> None:
    plain = bench.picture(dev, 5, **ASKED)
    assert torch.equal(bench.picture(dev, 5, **ASKED, fluxguidancescale=3.5), plain)


def test_odd_sizes_work(bench: Bench, dev: ModelFile) -> None:
    assert bench.picture(dev, 2, **{**ASKED, "width": 72, "height": 88}).shape == (88, 72, 3)


def test_schnell_has_its_own_noise_levels(bench: Bench, folder: Path) -> None:
    pipe = given(SCHNELL.reference(), SigmaTable.flow(1.0), 3)
    result = pipe(
        prompt="a cat", guidance_scale=0.0, height=64, width=64, num_inference_steps=3, latents=packed(noise(1)),
        max_sequence_length=256, output_type="pt",
    )  # fmt: skip
    file = model(SCHNELL, SCHNELL.make(folder, layout="single"))
    found = bench.picture(file, 1, prompt="a cat", steps=3, cfgscale=1.0)
    assert (found - pixels(result)).abs().max() <= 2.0


def test_a_missing_companion_is_named_with_its_place(folder: Path, beside: Mapping[str, ModelFile]) -> None:
    file = model(DEV, DEV.make(folder, layout="bare", name="lonely"))
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"t5xxl.*models/clip"):
        families().load(file, device, {"clip_l": beside["clip_l"], "vae": beside["vae"]})
    with pytest.raises(BadInput, match=r"ae\.safetensors.*models/VAE"):
        families().load(file, device, {slot: part for slot, part in beside.items() if slot != "vae"})


def test_a_missing_weight_is_named(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    path = DEV.make(folder, layout="single", name="whole")
    kept = {name: value for name, value in load_file(path).items() if "single_blocks.1.linear2" not in name}
    save_file(kept, folder / "gap.safetensors")
    with pytest.raises(BadInput, match=r"lacks 2 tensors \(single_transformer_blocks\.1\.proj_out"):
        families().load(model(DEV, folder / "gap.safetensors"), choose_device(0, "auto"), {})

"""Sana through the engine: every layout, diffusers' own picture, company of other prompts, LoRAs, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import SanaTransformer2DModel
from safetensors.torch import load_file, save_file

from swarm.architectures.families.transformers import SANA as FAMILY
from swarm.base.errors import BadInput
from swarm.engine.adapters.sana_load import sana_config
from swarm.engine.device import choose_device
from swarm.engine.files.renaming import expected_shapes
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
from swarm.engine.vaes.deep_vae import deep_config
from swarm.jobs.job import ModelFile
from tests.engine.conftest import Bench
from tests.engine.family_checks import (
    drawn,
    file_of,
    in_company,
    lora_and_change,
    nearly_equal,
    scaled_file,
    weights_of,
)
from tests.engine.flow_oracle import companions, given, model, pixels
from tests.support.tiny import autoencoders
from tests.support.tiny.sana import SANA

pytestmark = pytest.mark.torch
ASKED: dict[str, Any] = {
    "prompt": "a red fox in the snow",
    "negativeprompt": "blurry",
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
    "width": 128,
    "height": 128,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sana")


@pytest.fixture(scope="module")
def separate(folder: Path) -> Mapping[str, ModelFile]:
    return companions(SANA, folder)


@pytest.fixture(scope="module")
def bare(folder: Path) -> ModelFile:
    return model(SANA, SANA.make(folder, layout="bare"))


def test_a_picture_is_the_pipelines_picture(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    pipe = given(SANA.reference(), FAMILY.sigma_table(), 4)
    result = pipe(
        prompt=ASKED["prompt"], negative_prompt="blurry", guidance_scale=4.0, num_inference_steps=4,
        height=128, width=128, latents=seeded_noise(7, (32, 4, 4)), output_type="pt", use_resolution_binning=False,
    )  # fmt: skip
    expected = pixels(result)
    assert (drawn(bench, bare, separate, 7, ASKED) - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


def test_a_picture_without_guidance_is_the_pipelines_picture(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    """On a canvas that is no square."""
    pipe = given(SANA.reference(), FAMILY.sigma_table(), 3)
    result = pipe(
        prompt="a cat", guidance_scale=1.0, height=128, width=192, num_inference_steps=3,
        latents=seeded_noise(1, (32, 4, 6)), output_type="pt", use_resolution_binning=False,
    )  # fmt: skip
    wish = {**ASKED, "prompt": "a cat", "steps": 3, "cfgscale": 1.0, "width": 192}
    assert (drawn(bench, bare, separate, 1, wish) - pixels(result)).abs().max() <= 2.0


@pytest.mark.parametrize("kind", ["prefixed", "folder", "sharded", "diffusers", "gguf"])
def test_every_file_makes_the_same_picture(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, kind: str
) -> None:
    file = file_of(SANA, folder, separate, kind)
    expected = drawn(bench, bare, separate, 3, ASKED)
    assert (drawn(bench, file, separate, 3, ASKED) - expected).abs().max() <= 1.0


def test_every_weight_arrives(bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path) -> None:
    nearly_equal(SANA, weights_of(bare, separate), 0.0)
    nearly_equal(SANA, weights_of(scaled_file(SANA, folder), separate), 0.07)


def test_pictures_in_company_are_the_pictures_alone(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    assert in_company(bench, bare, separate, width=128, height=128) <= 1.0


@pytest.mark.parametrize("home", ["diffusion_model.", "lora_unet_"])
def test_a_lora_of_an_original_layer_is_its_change(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, home: str
) -> None:
    lora, changed = lora_and_change(SANA, folder, "blocks.1.cross_attn.kv_linear", home=home)
    id = bench.submit(bare, (4,), parts=separate, loras=(lora,), **ASKED)
    bench.finish()
    found = bench.pixels(id)
    assert (found - drawn(bench, changed, separate, 4, ASKED)).abs().max() <= 1.0
    assert (found - drawn(bench, bare, separate, 4, ASKED)).abs().max() > 2.0


def test_a_missing_companion_is_named_with_its_place(bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"gemma_2_2b_fp16\.safetensors.*models/text_encoders"):
        families().load(bare, device, {"vae": separate["vae"]})
    with pytest.raises(BadInput, match=r"sana_dcae_vae\.safetensors.*models/VAE"):
        families().load(bare, device, {"gemma2": separate["gemma2"]})


def test_shapes_tell_the_config() -> None:
    """A network of the told config has exactly the weights."""
    whole = expected_shapes(SANA.denoiser())
    for shapes in ({name: tuple(value.shape) for name, value in SANA.original().items()}, whole):
        assert expected_shapes(SanaTransformer2DModel(**sana_config(shapes))) == whole


def test_a_text_encoder_without_its_vocabulary_says_what_it_needs(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path
) -> None:
    (folder / "lone").mkdir()
    alone = folder / "lone" / "words.safetensors"
    tensors = load_file(separate["gemma2"].path)
    pieces = tensors.pop("spiece_model")
    save_file(tensors, alone)
    parts = {**separate, "gemma2": ModelFile(name=alone.name, path=alone, family=None, stamp="1")}
    with pytest.raises(BadInput, match=r"needs its tokenizer.*'words\.tokenizer\.model'"):
        families().load(bare, choose_device(0, "auto"), parts)
    (folder / "lone" / "words.tokenizer.model").write_bytes(pieces.numpy().tobytes())
    expected = drawn(bench, bare, separate, 3, ASKED)
    assert (drawn(bench, bare, parts, 3, ASKED) - expected).abs().max() <= 1.0


def test_shapes_tell_the_vaes_config() -> None:
    vae = autoencoders.sana_vae()
    told = deep_config(expected_shapes(vae), "vae")
    for name, value in told.items():
        assert vae.config[name] == value, name


def test_the_training_size_tells_how_patches_lie() -> None:
    shapes = {name: tuple(value.shape) for name, value in SANA.original().items()}
    assert sana_config(shapes)["interpolation_scale"] is None
    for side, spread in ((64, 1.0), (128, 2.0)):
        told = sana_config({**shapes, "pos_embed": (1, side * side, 64)})
        assert (told["sample_size"], told["interpolation_scale"]) == (side, spread)


def test_a_picture_has_one_latent(bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    vae = families().load(bare, choose_device(0, "auto"), separate).vae
    picture = torch.rand(1, 3, 128, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.inference_mode():
        latent = vae.encode(picture)
        assert latent.shape == (1, 32, 4, 2)
        assert torch.equal(latent, vae.encode(picture))
        assert vae.decode(latent).shape == picture.shape


def test_a_sprint_is_refused(folder: Path, separate: Mapping[str, ModelFile]) -> None:
    path = folder / "sprint.safetensors"
    save_file({**SANA.original(), "cfg_embedder.mlp.0.weight": torch.ones(64, 256)}, path)
    with pytest.raises(BadInput, match="Sana Sprint can only run from a diffusers folder"):
        families().load(model(SANA, path), choose_device(0, "auto"), separate)


def test_odd_sizes_and_endless_prompts_work(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    wish = {**ASKED, "steps": 1, "width": 72, "height": 88, "prompt": "word " * 1200}
    assert drawn(bench, bare, separate, 2, wish).shape == (64, 64, 3)

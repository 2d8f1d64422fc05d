"""AuraFlow through the engine: every layout, diffusers' own picture, company of other prompts, LoRAs, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AuraFlowTransformer2DModel
from safetensors.torch import load_file, save_file

from swarm.architectures.families.transformers import AURAFLOW as FAMILY
from swarm.base.errors import BadInput
from swarm.engine.adapters.auraflow_load import Places, auraflow_config
from swarm.engine.components import TextOptions
from swarm.engine.device import choose_device
from swarm.engine.files.renaming import expected_shapes
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
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
from tests.support.tiny.auraflow import AURAFLOW

pytestmark = pytest.mark.torch
ASKED: dict[str, Any] = {
    "prompt": "a red fox in the snow",
    "negativeprompt": "blurry",
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("auraflow")


@pytest.fixture(scope="module")
def separate(folder: Path) -> Mapping[str, ModelFile]:
    return companions(AURAFLOW, folder)


@pytest.fixture(scope="module")
def bare(folder: Path) -> ModelFile:
    return model(AURAFLOW, AURAFLOW.make(folder, layout="bare"))


@pytest.fixture(scope="module")
def whole(folder: Path) -> ModelFile:
    return model(AURAFLOW, AURAFLOW.make(folder, layout="single", name="whole"))


def test_a_picture_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    pipe = given(AURAFLOW.reference(), FAMILY.sigma_table(), 4)
    result = pipe(
        prompt=ASKED["prompt"], negative_prompt="blurry", guidance_scale=4.0, num_inference_steps=4,
        height=64, width=64, latents=seeded_noise(7, (4, 8, 8)), output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    assert (drawn(bench, whole, {}, 7, ASKED) - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


def test_a_picture_without_guidance_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    """On a canvas that is no square."""
    pipe = given(AURAFLOW.reference(), FAMILY.sigma_table(), 3)
    result = pipe(
        prompt="a cat", guidance_scale=1.0, height=64, width=96, num_inference_steps=3,
        latents=seeded_noise(1, (4, 8, 12)), output_type="pt",
    )  # fmt: skip
    wish = {**ASKED, "prompt": "a cat", "steps": 3, "cfgscale": 1.0, "width": 96}
    assert (drawn(bench, whole, {}, 1, wish) - pixels(result)).abs().max() <= 2.0


@pytest.mark.parametrize("kind", ["prefixed", "single", "diffusers", "gguf"])
def test_every_file_makes_the_same_picture(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, kind: str
) -> None:
    file = file_of(AURAFLOW, folder, separate, kind)
    expected = drawn(bench, bare, separate, 3, ASKED)
    assert (drawn(bench, file, separate, 3, ASKED) - expected).abs().max() <= 1.0


@pytest.mark.parametrize("kind", ["folder", "sharded"])
def test_every_folder_makes_the_same_picture(bench: Bench, whole: ModelFile, folder: Path, kind: str) -> None:
    file = model(AURAFLOW, AURAFLOW.make(folder, layout=kind, name=kind))
    assert (drawn(bench, file, {}, 3, ASKED) - drawn(bench, whole, {}, 3, ASKED)).abs().max() <= 1.0


def test_a_text_encoder_of_its_own_is_followed_by_more_filling(
    whole: ModelFile, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    device = choose_device(0, "auto")
    inside, apart = (
        families().load(file, device, parts).text.encode("a cat", TextOptions()).tokens
        for file, parts in ((whole, {}), (bare, separate))
    )
    said = int(inside.abs().sum(dim=-1).gt(0).sum())
    assert inside.shape[1] == 256
    assert apart.shape[1] == said + 768
    assert torch.equal(apart[:, :256], inside)


def test_every_weight_arrives(bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path) -> None:
    nearly_equal(AURAFLOW, weights_of(bare, separate), 0.0)
    nearly_equal(AURAFLOW, weights_of(scaled_file(AURAFLOW, folder), separate), 0.07)


def test_pictures_in_company_are_the_pictures_alone(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]
) -> None:
    assert in_company(bench, bare, separate) <= 1.0


@pytest.mark.parametrize("home", ["diffusion_model.", "lora_unet_"])
def test_a_lora_of_an_original_layer_is_its_change(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path, home: str
) -> None:
    lora, changed = lora_and_change(AURAFLOW, folder, "single_layers.1.mlp.c_proj", home=home)
    id = bench.submit(bare, (4,), parts=separate, loras=(lora,), **ASKED)
    bench.finish()
    found = bench.pixels(id)
    assert (found - drawn(bench, changed, separate, 4, ASKED)).abs().max() <= 1.0
    assert (found - drawn(bench, bare, separate, 4, ASKED)).abs().max() > 2.0


def test_a_missing_companion_is_named_with_its_place(bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"pile_t5xl_fp16\.safetensors.*models/text_encoders"):
        families().load(bare, device, {"vae": separate["vae"]})
    with pytest.raises(BadInput, match=r"sdxl_vae\.safetensors.*models/VAE"):
        families().load(bare, device, {"pile_t5": separate["pile_t5"]})


def test_shapes_tell_the_config() -> None:
    """A network of the told config has exactly the weights."""
    whole = expected_shapes(AURAFLOW.denoiser())
    for shapes in ({name: tuple(value.shape) for name, value in AURAFLOW.original().items()}, whole):
        assert expected_shapes(AuraFlowTransformer2DModel(**auraflow_config(shapes))) == whole


def test_a_text_encoder_without_its_vocabulary_says_what_it_needs(
    bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile], folder: Path
) -> None:
    (folder / "lone").mkdir()
    alone = folder / "lone" / "words.safetensors"
    tensors = load_file(separate["pile_t5"].path)
    pieces = tensors.pop("spiece_model")
    save_file(tensors, alone)
    parts = {**separate, "pile_t5": ModelFile(name=alone.name, path=alone, family=None, stamp="1")}
    with pytest.raises(BadInput, match=r"needs its tokenizer.*'words\.tokenizer\.model'"):
        families().load(bare, choose_device(0, "auto"), parts)
    (folder / "lone" / "words.tokenizer.model").write_bytes(pieces.numpy().tobytes())
    expected = drawn(bench, bare, separate, 3, ASKED)
    assert (drawn(bench, bare, parts, 3, ASKED) - expected).abs().max() <= 1.0


def test_places_are_the_networks_own_and_stretch_beyond_them() -> None:
    embedder = AURAFLOW.denoiser().pos_embed
    ours = Places(embedder)
    for height, width in ((8, 8), (4, 12), (64, 4)):
        latent = torch.randn(1, 4, height, width, generator=torch.Generator().manual_seed(1))
        assert torch.equal(ours(latent), embedder(latent))
    odd = ours(torch.zeros(1, 4, 2, 6)) - ours.proj.bias
    table = embedder.pos_embed.view(32, 32, -1)
    assert torch.allclose(odd[0], table[15, 14:17], atol=1e-6)
    wide = ours(torch.zeros(1, 4, 8, 80))
    assert wide.shape == (1, 160, 32)
    assert torch.isfinite(wide).all()


def test_long_prompts_are_read_to_their_end(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    start = "a cat in the house " * 60
    first, second = (drawn(bench, bare, separate, 1, {**ASKED, "prompt": start + end}) for end in ("red", "blue dog"))
    assert (first - second).abs().max() > 0.0


def test_odd_sizes_and_endless_prompts_work(bench: Bench, bare: ModelFile, separate: Mapping[str, ModelFile]) -> None:
    wish = {**ASKED, "steps": 1, "width": 72, "height": 88, "prompt": "word " * 1200}
    assert drawn(bench, bare, separate, 2, wish).shape == (88, 72, 3)

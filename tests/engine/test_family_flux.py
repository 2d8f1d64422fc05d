"""Flux.1 through the engine: every layout, diffusers' own picture, company, guidance, fill, references, LoRAs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import exp
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from swarm.architectures.architecture import Architecture
from swarm.architectures.families.flux_1 import FLUX_KONTEXT
from swarm.architectures.families.flux_2 import FLUX_2_DEV
from swarm.architectures.families.qwen_image import QWEN_IMAGE_EDIT
from swarm.base.errors import BadInput
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.adapters.flux import FluxDenoiser, inpaint_channels
from swarm.engine.components import Row, TextOptions
from swarm.engine.device import choose_device
from swarm.engine.packing import Place, beside, packed
from swarm.engine.start import families
from swarm.features.prompt_images import reference_size
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import PROMPT, companions, given, model, noise, pixels
from tests.support.tiny.flux import DEV, FAMILIES, FILL, KONTEXT, SCHNELL

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(exp(1.15), 10_000)
ASKED: dict[str, Any] = {"prompt": PROMPT, "steps": 4, "cfgscale": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flux")


@pytest.fixture(scope="module")
def dev(folder: Path) -> ModelFile:
    return model(DEV, DEV.make(folder, layout="single"))


@pytest.fixture(scope="module")
def separate(folder: Path) -> Mapping[str, ModelFile]:
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
    bench: Bench, dev: ModelFile, separate: Mapping[str, ModelFile], folder: Path, layout: str
) -> None:
    file = model(DEV, DEV.make(folder, layout=layout, name=layout))
    id = bench.submit(file, (3,), parts={} if file.path.is_dir() else separate, **ASKED)
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
    wishes: list[dict[str, Any]] = [
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


def test_a_missing_companion_is_named_with_its_place(folder: Path, separate: Mapping[str, ModelFile]) -> None:
    file = model(DEV, DEV.make(folder, layout="bare", name="lonely"))
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"t5xxl.*models/text_encoders"):
        families().load(file, device, {"clip_l": separate["clip_l"], "vae": separate["vae"]})
    with pytest.raises(BadInput, match=r"ae\.safetensors.*models/VAE"):
        families().load(file, device, {slot: part for slot, part in separate.items() if slot != "vae"})


def test_a_missing_weight_is_named(folder: Path) -> None:
    path = DEV.make(folder, layout="single", name="whole")
    kept = {name: value for name, value in load_file(path).items() if "single_blocks.1.linear2" not in name}
    save_file(kept, folder / "gap.safetensors")
    with pytest.raises(BadInput, match=r"lacks 2 tensors \(single_transformer_blocks\.1\.proj_out"):
        families().load(model(DEV, folder / "gap.safetensors"), choose_device(0, "auto"), {})


def test_fill_sees_the_mask_and_what_is_around_it(folder: Path) -> None:
    """The tokens of a call are those of diffusers' own pipeline."""
    file = model(FILL, FILL.make(folder, layout="single"))
    components = families().load(file, choose_device(0, "auto"), {})
    pipe = FILL.reference()
    image, mask = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(3)), torch.zeros(1, 1, 64, 64)
    mask[..., 8:40, 16:64] = 1
    around = components.vae.encode((image * 2 - 1) * (1 - mask))
    channels = inpaint_channels(components.denoiser, around, mask)
    masks, _ = pipe.prepare_mask_latents(
        mask, (image * 2 - 1) * (1 - mask), 1, 16, 1, 64, 64, torch.float32, torch.device("cpu"), None
    )
    assert channels is not None
    # The pipeline draws its latents from the posterior; ours are its mean.
    assert torch.equal(packed(channels), torch.cat([packed(around), masks], dim=2))
    told = components.text.encode("a cat", TextOptions())
    row = Row(x=noise(1), timestep=500.0, sigma=0.5, conditioning=told, concat=channels)
    assert FluxDenoiser(components, choose_device(0, "auto"))([row]).shape == (1, 16, 8, 8)


def test_fill_draws_from_nothing_too(bench: Bench, folder: Path) -> None:
    """Without a picture everything is to be filled, as with a mask over all of one that is black."""
    file = model(FILL, FILL.make(folder, layout="single"))
    components = families().load(file, choose_device(0, "auto"), {})
    told = components.adapter.nothing_beside(components.denoiser, torch.zeros(1, 16, 8, 8))
    assert told is not None
    assert told.shape == (1, 16 + 64, 8, 8)
    assert torch.allclose(told[:, :16], torch.full((1, 16, 8, 8), -0.1159 * 0.3611))
    assert told[:, 16:].min() == 1
    assert bench.picture(file, 3, steps=2).float().std() > 1.0


def test_plain_flux_sees_nothing_beside(dev: ModelFile) -> None:
    components = families().load(dev, choose_device(0, "auto"), {})
    assert inpaint_channels(components.denoiser, noise(1), torch.ones(1, 1, 64, 64)) is None
    assert components.adapter.nothing_beside(components.denoiser, noise(1)) is None


@pytest.mark.parametrize("source", ["promptimages", "initimage"])
def test_kontext_is_the_pipelines_picture(bench: Bench, folder: Path, source: str) -> None:
    shown = Image.effect_noise((64, 64), 90).convert("RGB").point(lambda level: 255 - level // 2)
    file = io.BytesIO()
    shown.save(file, "PNG")
    picture = Picture(data=file.getvalue(), mime="image/png")
    pipe = given(KONTEXT.reference(), TABLE, 4)
    result = pipe(
        image=shown, prompt="a cat", guidance_scale=3.5, height=64, width=64, num_inference_steps=4, max_area=4096,
        latents=packed(noise(7)), max_sequence_length=256, output_type="pt", _auto_resize=False,
    )  # fmt: skip
    model_file = model(KONTEXT, KONTEXT.make(folder, layout="single"))
    asked = {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "smartimagepromptresizing": False}
    given_picture = {source: (picture,) if source == "promptimages" else picture}
    found = bench.picture(model_file, 7, **asked, **given_picture)
    assert (found - pixels(result)).abs().max() <= 2.0
    assert (bench.picture(model_file, 7, **asked) - found).abs().max() > 2.0


def test_pictures_with_different_references_share_a_queue(bench: Bench, folder: Path) -> None:
    def shown(side: int) -> Picture:
        file = io.BytesIO()
        Image.effect_noise((side, side), 90).convert("RGB").save(file, "PNG")
        return Picture(data=file.getvalue(), mime="image/png")

    file = model(KONTEXT, KONTEXT.make(folder, layout="single"))
    base = {"prompt": "a cat", "steps": 3, "cfgscale": 2.0, "smartimagepromptresizing": False}
    wishes: list[dict[str, Any]] = [
        {**base, "promptimages": (shown(64),)},
        {**base, "promptimages": (shown(48), shown(80))},
        base,
    ]
    alone = [bench.picture(file, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(file, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_references_lie_beside_each_other() -> None:
    assert beside([(8, 8), (8, 4), (4, 4)]) == [Place(1, 0, 0), Place(1, 0, 4), Place(1, 4, 0)]


def test_reference_sizes() -> None:
    def sized(size: tuple[int, int], result: int, family: Architecture = FLUX_KONTEXT, *, smart: bool = True) -> Any:
        return reference_size(size, (result, result), family, smart=smart)

    assert sized((500, 500), 1024) == (1024, 1024)
    assert sized((300, 900), 1024) == (576, 1792)
    assert sized((1500, 900), 1024) == (1500, 900)
    assert sized((500, 500), 512) == (500, 500)
    assert sized((500, 400), 512) == (576, 448)
    assert sized((520, 400), 512, smart=False) == (520, 400)
    assert sized((300, 900), 1024, smart=False) == (576, 1792)
    assert sized((333, 500), 1024, FLUX_2_DEV) == (333, 500)
    assert sized((8000, 2000), 1024, FLUX_2_DEV) == (4096, 1024)
    assert sized((500, 500), 512, QWEN_IMAGE_EDIT) == (1024, 1024)
    assert sized((1000, 1000), 512, QWEN_IMAGE_EDIT) == (1000, 1000)

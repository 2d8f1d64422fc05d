"""Flux.2 through the engine: Dev and Klein, every layout, diffusers' own picture, company, references, LoRAs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from swarm.architectures.families.flux_2 import FLUX_2_DEV
from swarm.base.errors import BadInput
from swarm.engine.components import TextOptions
from swarm.engine.device import choose_device
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, given, model, pixels
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux_2 import DEV, FAMILIES, KLEIN, WIDTH
from tests.support.tiny.weights import write

pytestmark = pytest.mark.torch
TABLE = FLUX_2_DEV.sigma_table()
PROMPT = "a red fox in the snow, photo of a (blue house:1.3)"
ASKED: dict[str, Any] = {"prompt": PROMPT, "steps": 4, "scheduler": "simple", "cfgscale": 1.0}
NAMES = [str(family.id) for family in FAMILIES]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flux2")


@pytest.fixture(scope="module")
def wholes(folder: Path) -> Mapping[str, ModelFile]:
    """Files that hold everything."""
    return {family.id: model(family, family.make(folder, layout="single")) for family in FAMILIES}


@pytest.fixture(scope="module")
def klein(wholes: Mapping[str, ModelFile]) -> ModelFile:
    return wholes[KLEIN.id]


def noise(seed: int, side: int = 64) -> torch.Tensor:
    return seeded_noise(seed, (128, side // 16, side // 16))


def shown(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width + height).integers(128, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def sent(image: Image.Image) -> Picture:
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def spoken(pipe: Any, family: TinyFamily, file: ModelFile, prompt: str) -> dict[str, Any]:
    """A prompt as the pipeline is told it. It has Mistral read padding in front of short prompts, where ComfyUI and
    the engine have zeros: Dev's words are given to it encoded."""
    if family is not DEV:
        return {"prompt": prompt}
    tokens = families().load(file, choose_device(0, "auto"), {}).text.encode(prompt, TextOptions()).tokens
    words = int((tokens.abs().sum(dim=-1) > 0).sum())
    assert 20 < words < tokens.shape[1] == 512
    assert torch.allclose(tokens[:, -words:], pipe.encode_prompt(prompt=prompt)[0][:, -words:], atol=1e-4)
    return {"prompt_embeds": tokens}


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_a_picture_is_the_pipelines_picture(bench: Bench, wholes: Mapping[str, ModelFile], family: TinyFamily) -> None:
    pipe = given(family.reference(), TABLE, 4)
    result = pipe(
        **spoken(pipe, family, wholes[family.id], PROMPT), guidance_scale=3.5 if family is DEV else 1.0,
        height=64, width=64, num_inference_steps=4, latents=noise(7), output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    found = bench.picture(wholes[family.id], 7, **ASKED)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded", "diffusers"])
def test_every_layout_makes_the_same_picture(
    bench: Bench, wholes: Mapping[str, ModelFile], folder: Path, family: TinyFamily, layout: str
) -> None:
    name = f"{family.id}-{layout}"
    if layout == "diffusers":
        path = write(folder / f"{name}.safetensors", family.convert(family.original()))
    else:
        path = family.make(folder, layout=layout, name=name)
    parts = {} if path.is_dir() else companions(family, folder / family.id)
    found = bench.picture(model(family, path), 3, parts=parts, **ASKED)
    assert (found - bench.picture(wholes[family.id], 3, **ASKED)).abs().max() <= 1.0


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_every_weight_arrives(wholes: Mapping[str, ModelFile], family: TinyFamily) -> None:
    found = families().load(wholes[family.id], choose_device(0, "auto"), {})
    weights = dict(found.denoiser.named_parameters())
    for name, weight in family.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, wholes: Mapping[str, ModelFile]) -> None:
    wishes: list[dict[str, Any]] = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 1.0},
        {"prompt": "a dog on the house", "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue"},
        {"prompt": "word " * 600, "steps": 3, "cfgscale": 1.0, "fluxguidancescale": 1.5},
        {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "fluxdisableguidance": True},
        {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "sampler": "heun", "scheduler": "simple", "sigmashift": 0.5},
    ]
    dev = wholes[DEV.id]
    alone = [bench.picture(dev, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(dev, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_guidance_and_shift_are_heard(bench: Bench, wholes: Mapping[str, ModelFile]) -> None:
    dev = wholes[DEV.id]
    plain = bench.picture(dev, 5, **ASKED)
    for change in ({"fluxguidancescale": 12.0}, {"fluxdisableguidance": True}, {"sigmashift": 4.0}):
        assert (bench.picture(dev, 5, **{**ASKED, **change}) - plain).abs().max() > 2.0, change


def test_its_own_schedule_is_the_usual_one(bench: Bench, klein: ModelFile) -> None:
    usual = bench.picture(klein, 5, prompt="a cat", steps=4, cfgscale=1.0)
    assert torch.equal(bench.picture(klein, 5, prompt="a cat", steps=4, cfgscale=1.0, scheduler="flux2"), usual)


def test_odd_sizes_work(bench: Bench, klein: ModelFile) -> None:
    assert bench.picture(klein, 2, **{**ASKED, "width": 80, "height": 96}).shape == (96, 80, 3)


@pytest.mark.parametrize("family", FAMILIES, ids=NAMES)
def test_pictures_to_look_at_are_the_pipelines(
    bench: Bench, wholes: Mapping[str, ModelFile], family: TinyFamily
) -> None:
    pictures = [shown(64, 64), shown(96, 64)]
    pipe = given(family.reference(), TABLE, 4)
    result = pipe(
        image=pictures, **spoken(pipe, family, wholes[family.id], "a cat"),
        guidance_scale=3.5 if family is DEV else 1.0,
        height=64, width=64, num_inference_steps=4, latents=noise(7), output_type="pt",
    )  # fmt: skip
    asked = {**ASKED, "prompt": "a cat", "smartimagepromptresizing": False}
    found = bench.picture(wholes[family.id], 7, **asked, promptimages=tuple(map(sent, pictures)))
    assert (found - pixels(result)).abs().max() <= 2.0
    assert (bench.picture(wholes[family.id], 7, **asked) - found).abs().max() > 2.0


def test_an_init_image_is_where_a_picture_begins_and_no_reference(bench: Bench, klein: ModelFile) -> None:
    asked = {**ASKED, "initimage": sent(shown(64, 64)), "smartimagepromptresizing": False}
    begun = bench.picture(klein, 7, **asked, initimagecreativity=0.5)
    assert (bench.picture(klein, 7, **asked, initimagecreativity=0.0) - begun).abs().max() > 2.0
    assert torch.equal(bench.picture(klein, 7, **asked, initimagecreativity=1.0), bench.picture(klein, 7, **ASKED))


def test_parts_are_painted_anew(bench: Bench, klein: ModelFile) -> None:
    mask = Image.new("L", (64, 64))
    mask.paste(255, (0, 0, 32, 64))
    image = shown(64, 64)
    made = bench.picture(klein, 7, **ASKED, initimage=sent(image), maskimage=sent(mask), initimagecreativity=0.9)
    other = bench.picture(klein, 8, **ASKED, initimage=sent(image), maskimage=sent(mask), initimagecreativity=0.9)
    assert (made - other)[:, :16].abs().max() > 2.0
    assert (made - other)[:, 56:].abs().max() <= 1.0


def test_tiles_are_asked_of_the_vae(bench: Bench, klein: ModelFile) -> None:
    wide = {**ASKED, "width": 256, "height": 128, "steps": 1}
    plain = bench.picture(klein, 2, **wide)
    tiled = bench.picture(klein, 2, **wide, vaetilesize=128, vaetileoverlap=32)
    assert tiled.shape == plain.shape
    assert (tiled - plain).abs().max() > 0


def test_the_vae_speaks_in_the_models_scale(klein: ModelFile) -> None:
    pipe = KLEIN.reference()
    vae = families().load(klein, choose_device(0, "auto"), {}).vae
    pictures = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    assert torch.allclose(vae.encode(pictures), pipe._encode_vae_image(pictures, None), atol=1e-5)
    assert vae.encode(pictures).shape == (2, 128, 4, 6)
    assert vae.decode(vae.encode(pictures)).shape == (2, 3, 64, 96)


def test_prompts_are_filled_up_and_may_be_long(klein: ModelFile) -> None:
    text = families().load(klein, choose_device(0, "auto"), {}).text
    assert text.encode("a cat", TextOptions()).tokens.shape[1] == 512
    assert text.encode("word " * 900, TextOptions()).tokens.shape[1] > 900


@pytest.mark.parametrize("module", ["single_blocks.1.linear1", "double_blocks.0.img_attn.qkv"])
def test_loras_are_heard(bench: Bench, klein: ModelFile, folder: Path, module: str) -> None:
    out = {"single_blocks.1.linear1": 9 * WIDTH, "double_blocks.0.img_attn.qkv": 3 * WIDTH}[module]
    numbers = torch.Generator().manual_seed(2)
    down, up = torch.randn(4, WIDTH, generator=numbers), torch.randn(out, 4, generator=numbers)
    path = folder / f"{module}.safetensors"
    save_file({f"diffusion_model.{module}.lora_A.weight": down, f"diffusion_model.{module}.lora_B.weight": up}, path)
    use = LoraUse(file=ModelFile(name=path.name, path=path, family=None, stamp="1"), weight=1.0, text_weight=1.0)
    plain = bench.picture(klein, 3, **ASKED)
    assert (bench.picture(klein, 3, loras=(use,), **ASKED) - plain).abs().max() > 2.0
    assert torch.equal(bench.picture(klein, 3, **ASKED), plain)


@pytest.mark.parametrize(
    ("family", "file"), [(DEV, r"mistral_3_small_flux2_bf16"), (KLEIN, r"qwen_3_4b")], ids=["dev", "klein"]
)
def test_a_missing_companion_is_named_with_its_place(folder: Path, family: TinyFamily, file: str) -> None:
    lonely = model(family, family.make(folder, layout="bare", name=f"{family.id}-lonely"))
    beside, device = companions(family, folder / family.id), choose_device(0, "auto")
    with pytest.raises(BadInput, match=rf"{file}\.safetensors.*models/text_encoders"):
        families().load(lonely, device, {"vae": beside["vae"]})
    with pytest.raises(BadInput, match=r"flux2-vae\.safetensors.*models/VAE"):
        families().load(lonely, device, {slot: part for slot, part in beside.items() if slot != "vae"})

"""Qwen-Image through the engine: every layout, diffusers' own picture, prompts of different lengths, LoRAs."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit, pipeline_qwenimage_edit_plus
from PIL import Image
from safetensors.torch import load_file, save_file

from swarm.architectures.families.qwen_image import QWEN_IMAGE
from swarm.base.errors import BadInput
from swarm.engine.components import TextOptions
from swarm.engine.device import choose_device
from swarm.engine.packing import packed
from swarm.engine.qwen_places import QwenPlaces
from swarm.engine.start import families
from swarm.engine.words import qwen_text
from swarm.engine.words.qwen_text import sized
from swarm.jobs.job import LoraUse, ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, given, model, noise, pixels
from tests.support.tiny.flux_2 import KLEIN
from tests.support.tiny.qwen_image import EDIT, EDIT_PLUS, FAMILIES, IMAGE, WIDTH

pytestmark = pytest.mark.torch
TABLE = QWEN_IMAGE.sigma_table()
PROMPT = "a red fox in the snow, photo of a (blue house:1.3)"
ASKED: dict[str, Any] = {"prompt": PROMPT, "steps": 4, "cfgscale": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qwen")


@pytest.fixture(scope="module")
def beside(folder: Path) -> Mapping[str, ModelFile]:
    return companions(IMAGE, folder)


@pytest.fixture(scope="module")
def whole(folder: Path) -> ModelFile:
    return model(IMAGE, IMAGE.make(folder, layout="single"))


def test_a_picture_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    result = given(IMAGE.reference(), TABLE, 4)(
        prompt=PROMPT, true_cfg_scale=1.0, height=64, width=64, num_inference_steps=4, latents=packed(noise(7)),
        output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    found = bench.picture(whole, 7, **ASKED)
    assert (found - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded"])
def test_every_layout_makes_the_same_picture(
    bench: Bench, whole: ModelFile, beside: Mapping[str, ModelFile], folder: Path, layout: str
) -> None:
    file = model(IMAGE, IMAGE.make(folder, layout=layout, name=layout))
    found = bench.picture(file, 3, parts={} if file.path.is_dir() else beside, **ASKED)
    assert (found - bench.picture(whole, 3, **ASKED)).abs().max() <= 1.0


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: str(family.id))
def test_every_weight_arrives(folder: Path, beside: Mapping[str, ModelFile], family: Any) -> None:
    file = model(family, family.make(folder, layout="prefixed", name=f"{family.id}-weights"))
    found = families().load(file, choose_device(0, "auto"), beside)
    weights = dict(found.denoiser.named_parameters())
    for name, weight in family.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name
    assert found.denoiser.zero_cond_t == (family.id == "qwen-image-edit-plus")


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, whole: ModelFile) -> None:
    """Prompts of other lengths share a call, and the filling of the shorter ones is not seen."""
    wishes: list[dict[str, Any]] = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 4.0},
        {"prompt": "a very long " * 40, "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue"},
        {"prompt": "a cat in a house", "steps": 4, "cfgscale": 1.0, "sigmashift": 3.0},
        {"prompt": "a dog", "steps": 4, "cfgscale": 4.0, "sampler": "dpmpp_2m"},
    ]
    alone = [bench.picture(whole, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(whole, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_odd_sizes_work(bench: Bench, whole: ModelFile) -> None:
    assert bench.picture(whole, 2, **{**ASKED, "width": 72, "height": 88}).shape == (88, 72, 3)


def test_an_init_image_is_encoded_and_decoded(whole: ModelFile) -> None:
    vae = families().load(whole, choose_device(0, "auto"), {}).vae
    pictures = torch.rand(2, 3, 64, 48, generator=torch.Generator().manual_seed(1)) * 2 - 1
    latents = vae.encode(pictures)
    mean = torch.tensor(vae.module.config.latents_mean).view(1, -1, 1, 1)
    std = torch.tensor(vae.module.config.latents_std).view(1, -1, 1, 1)
    own = vae.module.encode(pictures[:, :, None]).latent_dist.mode()[:, :, 0]
    assert latents.shape == (2, 16, 8, 6)
    assert torch.allclose(latents, (own - mean) / std, atol=1e-5)
    assert vae.decode(latents).shape == (2, 3, 64, 48)


def test_tiles_are_asked_of_the_vae(bench: Bench, whole: ModelFile) -> None:
    wide = {**ASKED, "width": 256, "height": 128, "steps": 1}
    plain = bench.picture(whole, 2, **wide)
    tiled = bench.picture(whole, 2, **wide, vaetilesize=128, vaetileoverlap=32)
    assert tiled.shape == plain.shape
    assert (tiled - plain).abs().max() > 0
    assert torch.equal(bench.picture(whole, 2, **wide), plain)


def test_parentheses_are_read_as_they_are(whole: ModelFile) -> None:
    """To a language model they are text (swarm-t2i 5.6)."""
    text = families().load(whole, choose_device(0, "auto"), {}).text
    plain, weighted = (text.encode(each, TextOptions()).tokens for each in ("a (red fox:1.5)", "a red fox"))
    assert plain.shape[1] > weighted.shape[1]
    escaped = text.encode(r"a \(red fox\)", TextOptions()).tokens
    assert torch.equal(escaped, text.encode("a (red fox)", TextOptions()).tokens)


def test_a_prompt_may_be_longer_than_the_pipeline_allows(whole: ModelFile) -> None:
    text = families().load(whole, choose_device(0, "auto"), {}).text
    assert text.encode("word " * 1500, TextOptions()).tokens.shape[1] > 1500
    assert text.encode("word " * 9000, TextOptions()).tokens.shape[1] == 3072 - 34


@pytest.mark.parametrize("prefix", ["transformer.", "diffusion_model.", "", "lora_unet_"])
def test_loras_are_heard_in_every_spelling(bench: Bench, whole: ModelFile, folder: Path, prefix: str) -> None:
    numbers = torch.Generator().manual_seed(2)
    module = prefix + "transformer_blocks.0.attn.to_q"
    if prefix == "lora_unet_":
        module = prefix + "transformer_blocks_0_attn_to_q"
    down, up = torch.randn(4, WIDTH, generator=numbers), torch.randn(WIDTH, 4, generator=numbers)
    path = folder / f"lora-{prefix or 'bare'}.safetensors"
    save_file({f"{module}.lora_down.weight": down, f"{module}.lora_up.weight": up}, path)
    use = LoraUse(file=ModelFile(name=path.name, path=path, family=None, stamp="1"), weight=1.0, text_weight=1.0)
    plain = bench.picture(whole, 3, **ASKED)
    assert (bench.picture(whole, 3, loras=(use,), **ASKED) - plain).abs().max() > 2.0
    assert torch.equal(bench.picture(whole, 3, **ASKED), plain)


def test_a_missing_companion_is_named_with_its_place(folder: Path, beside: Mapping[str, ModelFile]) -> None:
    file = model(IMAGE, IMAGE.make(folder, layout="bare", name="lonely"))
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"qwen_2\.5_vl_7b\.safetensors.*models/text_encoders"):
        families().load(file, device, {"vae": beside["vae"]})
    with pytest.raises(BadInput, match=r"qwen_image_vae\.safetensors.*models/VAE"):
        families().load(file, device, {slot: part for slot, part in beside.items() if slot != "vae"})


def test_another_language_model_is_refused(folder: Path, beside: Mapping[str, ModelFile]) -> None:
    file = model(IMAGE, IMAGE.make(folder, layout="bare", name="mismatched"))
    other = companions(KLEIN, folder)["qwen3"]
    with pytest.raises(BadInput, match=r"is no Qwen 2\.5 VL"):
        families().load(file, choose_device(0, "auto"), {**beside, "qwen": other})


def test_another_vae_is_refused(folder: Path, beside: Mapping[str, ModelFile]) -> None:
    file = model(IMAGE, IMAGE.make(folder, layout="bare", name="mismatched"))
    other = companions(KLEIN, folder)["vae"]
    with pytest.raises(BadInput, match=r"is not the one of Qwen-Image"):
        families().load(file, choose_device(0, "auto"), {**beside, "vae": other})


def shown(width: int, height: int) -> Image.Image:
    levels = np.random.default_rng(width + height).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((width, height), Image.Resampling.BICUBIC)


def sent(image: Image.Image) -> Picture:
    file = io.BytesIO()
    image.save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def test_an_edited_picture_is_the_pipelines(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look at 112x112 here, for the time's sake and as whole states; words lie behind the drawn picture, as in
    ComfyUI."""
    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", lambda _area, _ratio: (112, 112, None))
    monkeypatch.setattr(qwen_text, "ONE", 112 * 112)
    picture = shown(112, 112)
    pipe = EDIT.reference()
    pipe.transformer.pos_embed = QwenPlaces(pipe.transformer.config.axes_dims_rope)
    result = given(pipe, TABLE, 4)(
        image=picture, prompt="a cat", true_cfg_scale=1.0, height=64, width=64, num_inference_steps=4,
        latents=packed(noise(7)), output_type="pt",
    )  # fmt: skip
    file = model(EDIT, EDIT.make(folder, layout="single", name="edit"))
    asked: dict[str, Any] = {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "smartimagepromptresizing": False}
    found = bench.picture(file, 7, **asked, promptimages=(sent(picture),))
    assert (found - pixels(result)).abs().max() <= 2.0
    assert (bench.picture(file, 7, **asked) - found).abs().max() > 2.0
    small = sent(shown(64, 64))
    as_init = bench.picture(file, 7, **asked, initimage=small)
    assert torch.equal(as_init, bench.picture(file, 7, **asked, promptimages=(small,)))


def test_several_pictures_are_looked_at(bench: Bench, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a size of whole states: the pipeline has another way to bring them there."""
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "VAE_IMAGE_SIZE", 64 * 64)
    monkeypatch.setattr(pipeline_qwenimage_edit_plus, "CONDITION_IMAGE_SIZE", 448 * 448)
    monkeypatch.setattr(qwen_text, "OF_SEVERAL", 448 * 448)
    pictures = [shown(64, 64), shown(64, 64).rotate(90)]
    result = given(EDIT_PLUS.reference(), TABLE, 4)(
        image=pictures, prompt="a cat", true_cfg_scale=1.0, height=64, width=64, num_inference_steps=4,
        latents=packed(noise(7)), output_type="pt",
    )  # fmt: skip
    file = model(EDIT_PLUS, EDIT_PLUS.make(folder, layout="single"))
    asked: dict[str, Any] = {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "smartimagepromptresizing": False}
    found = bench.picture(file, 7, **asked, promptimages=tuple(map(sent, pictures)))
    assert (found - pixels(result)).abs().max() <= 2.0
    assert (bench.picture(file, 7, **asked, promptimages=(sent(pictures[0]),)) - found).abs().max() > 2.0


def test_edits_of_different_pictures_share_a_queue(bench: Bench, folder: Path) -> None:
    file = model(EDIT_PLUS, EDIT_PLUS.make(folder, layout="single"))
    base = {"prompt": "a cat", "steps": 3, "cfgscale": 2.0, "smartimagepromptresizing": False}
    wishes: list[dict[str, Any]] = [
        {**base, "promptimages": (sent(shown(64, 64)),)},
        {**base, "promptimages": (sent(shown(64, 64)),), "prompt": "a dog in a house", "negativeprompt": "blue"},
        {**base, "promptimages": (sent(shown(48, 48)), sent(shown(80, 80)))},
        base,
    ]
    alone = [bench.picture(file, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(file, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_a_folder_of_an_edit_model_sees_too(bench: Bench, folder: Path) -> None:
    path = IMAGE.make(folder, layout="folder", name="edit-folder")
    index = path / "model_index.json"
    index.write_text(index.read_text(encoding="utf-8").replace("QwenImagePipeline", "QwenImageEditPipeline"))
    file = model(EDIT, EDIT.make(folder, layout="single"))
    asked: dict[str, Any] = {"prompt": "a cat", "steps": 2, "cfgscale": 1.0, "promptimages": (sent(shown(64, 64)),)}
    asked["smartimagepromptresizing"] = False
    found = bench.picture(model(EDIT, path), 3, **asked)
    assert (found - bench.picture(file, 3, **asked)).abs().max() <= 1.0


def test_an_encoder_without_eyes_says_so(folder: Path, beside: Mapping[str, ModelFile]) -> None:
    words = {name: value for name, value in load_file(beside["qwen2.5vl"].path).items() if "visual." not in name}
    save_file(words, folder / "blind.safetensors")
    blind = ModelFile(name="blind", path=folder / "blind.safetensors", family=None, stamp="1")
    file = model(EDIT, EDIT.make(folder, layout="bare", name="blind-edit"))
    text = families().load(file, choose_device(0, "auto"), {**beside, "qwen2.5vl": blind}).text
    assert text.encode("a cat", TextOptions()).tokens.ndim == 3
    with pytest.raises(BadInput, match="cannot see pictures"):
        text.encode("a cat", TextOptions(pictures=(sent(shown(64, 64)),)))


def test_the_sizes_that_pictures_are_seen_with() -> None:
    assert sized(sent(shown(96, 48)), qwen_text.OF_SEVERAL, 0).shape == (3, 272, 543)
    assert sized(sent(shown(64, 64)), qwen_text.ONE, 64).shape == (3, 1024, 1024)
    assert sized(sent(shown(960, 1024)), qwen_text.ONE, 64).shape == (3, 1058, 991)

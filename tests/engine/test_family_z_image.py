"""Z-Image through the engine: every layout, diffusers' own picture, company of other prompts, LoRAs, refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType
from safetensors.torch import load_file, save_file

from swarm.architectures.families.lumina_2 import Z_IMAGE as FAMILY
from swarm.base.errors import BadInput
from swarm.engine.adapters.z_image_load import longest_prompt, z_image_config
from swarm.engine.device import choose_device
from swarm.engine.files.renaming import expected_shapes
from swarm.engine.latents import seeded_noise
from swarm.engine.start import families
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import companions, given, model, noise, pixels
from tests.engine.test_checkpoint import gguf_file, scaled
from tests.support.tiny.weights import state
from tests.support.tiny.z_image import WIDTH, Z_IMAGE

pytestmark = pytest.mark.torch
PROMPT, NEGATIVE = "a red fox in the snow, photo of a (blue house:1.0)", "blurry"
ASKED: dict[str, Any] = {
    "prompt": PROMPT,
    "negativeprompt": NEGATIVE,
    "steps": 4,
    "scheduler": "simple",
    "cfgscale": 4.0,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("z_image")


@pytest.fixture(scope="module")
def whole(folder: Path) -> ModelFile:
    return model(Z_IMAGE, Z_IMAGE.make(folder, layout="single"))


@pytest.fixture(scope="module")
def separate(folder: Path) -> Mapping[str, ModelFile]:
    return companions(Z_IMAGE, folder)


def test_a_picture_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    """diffusers' guidance counts from the prompt, ours from the negative prompt: theirs is one less."""
    pipe = given(Z_IMAGE.reference(), FAMILY.sigma_table(), 4)
    result = pipe(
        prompt=PROMPT, negative_prompt=NEGATIVE, guidance_scale=3.0, height=64, width=64, num_inference_steps=4,
        latents=noise(7), output_type="pt",
    )  # fmt: skip
    expected = pixels(result)
    assert (bench.picture(whole, 7, **ASKED) - expected).abs().max() <= 2.0
    assert expected.std() > 1.0


def test_a_turbo_picture_is_the_pipelines_picture(bench: Bench, whole: ModelFile) -> None:
    """Without guidance, by the model's usual noise levels, on a canvas that is no square."""
    pipe = given(Z_IMAGE.reference(), FAMILY.sigma_table(), 3)
    result = pipe(
        prompt="a cat", guidance_scale=0.0, height=64, width=96, num_inference_steps=3,
        latents=seeded_noise(1, (16, 8, 12)), output_type="pt",
    )  # fmt: skip
    found = bench.picture(whole, 1, prompt="a cat", steps=3, cfgscale=1.0, width=96)
    assert (found - pixels(result)).abs().max() <= 2.0


@pytest.mark.parametrize("layout", ["bare", "prefixed", "folder", "sharded"])
def test_every_layout_makes_the_same_picture(
    bench: Bench, whole: ModelFile, separate: Mapping[str, ModelFile], folder: Path, layout: str
) -> None:
    file = model(Z_IMAGE, Z_IMAGE.make(folder, layout=layout, name=layout))
    id = bench.submit(file, (3,), parts={} if file.path.is_dir() else separate, **ASKED)
    bench.finish()
    assert (bench.pixels(id) - bench.picture(whole, 3, **ASKED)).abs().max() <= 1.0


@pytest.mark.parametrize("kind", ["diffusers", "GGUF"])
def test_other_files_make_the_same_picture(
    bench: Bench, whole: ModelFile, separate: Mapping[str, ModelFile], folder: Path, kind: str
) -> None:
    """Files that say nothing of their config: diffusers' names below a prefix, and quantised ones."""
    if kind == "diffusers":
        path = folder / "named.safetensors"
        save_file({f"diffusion_model.{name}": value for name, value in state(Z_IMAGE.denoiser()).items()}, path)
    else:
        path = gguf_file(folder / "packed.gguf", Z_IMAGE.original(), GGMLQuantizationType.F16)
    id = bench.submit(model(Z_IMAGE, path), (3,), parts=separate, **ASKED)
    bench.finish()
    assert (bench.pixels(id) - bench.picture(whole, 3, **ASKED)).abs().max() <= 1.0


def test_scaled_eight_bit_floats_are_nearly_the_weights(separate: Mapping[str, ModelFile], folder: Path) -> None:
    tensors = Z_IMAGE.original()
    layers = {name: value for name, value in tensors.items() if name.endswith(".weight")}
    save_file({**tensors, **scaled(layers, ".scale_weight")}, folder / "scaled.safetensors")
    found = families().load(model(Z_IMAGE, folder / "scaled.safetensors"), choose_device(0, "auto"), separate)
    weights = dict(found.denoiser.named_parameters())
    for name, weight in Z_IMAGE.denoiser().named_parameters():
        assert torch.allclose(weights[name], weight, rtol=0.07, atol=float(weight.abs().max()) / 200), name


def test_every_weight_arrives(whole: ModelFile) -> None:
    found = families().load(whole, choose_device(0, "auto"), {})
    weights = dict(found.denoiser.named_parameters())
    for name, weight in Z_IMAGE.denoiser().named_parameters():
        assert torch.equal(weights[name], weight), name


def test_shapes_tell_the_config() -> None:
    known = Z_IMAGE.config()
    for shapes in (
        {name: tuple(value.shape) for name, value in Z_IMAGE.original().items()},
        expected_shapes(Z_IMAGE.denoiser()),
    ):
        for entry, value in z_image_config(shapes).items():
            assert list(value) == list(known[entry]) if isinstance(value, list) else value == known[entry], entry


def test_pictures_in_company_are_the_pictures_alone(bench: Bench, whole: ModelFile) -> None:
    """Prompts whose lengths lie on both sides of a multiple of 32, in the same calls."""
    wishes: list[dict[str, Any]] = [
        {"prompt": "a cat", "steps": 3, "cfgscale": 4.0},
        {"prompt": "a very long " * 40, "steps": 5, "cfgscale": 3.0, "negativeprompt": "blue " * 30},
        {"prompt": "", "steps": 4, "cfgscale": 1.0},
        {"prompt": "a cat", "steps": 4, "cfgscale": 1.0, "sampler": "heun", "sigmashift": 6.0},
    ]
    alone = [bench.picture(whole, seed, **wish) for seed, wish in enumerate(wishes)]
    ids = [bench.submit(whole, (seed,), **wish) for seed, wish in enumerate(wishes)]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_the_prompt_and_the_shift_are_heard(bench: Bench, whole: ModelFile) -> None:
    plain = bench.picture(whole, 5, **ASKED)
    for change in ({"prompt": "a dog"}, {"negativeprompt": "a dog"}, {"sigmashift": 9.0}):
        assert (bench.picture(whole, 5, **{**ASKED, **change}) - plain).abs().max() > 2.0, change


def test_odd_sizes_and_endless_prompts_work(bench: Bench, whole: ModelFile) -> None:
    wish = {**ASKED, "steps": 1, "width": 72, "height": 88, "prompt": "word " * 2000}
    assert bench.picture(whole, 2, **wish).shape == (88, 72, 3)
    assert longest_prompt(1536) == 1504


@pytest.mark.parametrize("home", ["diffusion_model.", "lora_unet_", ""])
def test_a_lora_of_the_fused_layers_is_cut(bench: Bench, whole: ModelFile, folder: Path, home: str) -> None:
    """What the LoRA of the original's layers changes is what the same change of the weights does."""
    name, numbers = "layers.1.attention.qkv", torch.Generator().manual_seed(3)
    down, up = torch.randn(2, WIDTH, generator=numbers), torch.randn(3 * WIDTH, 2, generator=numbers)
    spelled = name.replace(".", "_") if home.endswith("_") else name
    path = folder / f"{home.strip('._')}.lora.safetensors"
    save_file({f"{home}{spelled}.lora_down.weight": down, f"{home}{spelled}.lora_up.weight": up}, path)
    lora = LoraUse(file=ModelFile(name="lora", path=path, family=None, stamp="1"), weight=0.7, text_weight=0.0)
    changed = load_file(whole.path)
    full = f"model.diffusion_model.{name}.weight"
    changed[full] = changed[full].float() + up @ down * 0.7
    save_file(changed, folder / "changed.safetensors")
    found = bench.picture(whole, 4, **ASKED, loras=(lora,))
    assert (found - bench.picture(model(Z_IMAGE, folder / "changed.safetensors"), 4, **ASKED)).abs().max() <= 1.0
    assert (found - bench.picture(whole, 4, **ASKED)).abs().max() > 2.0


def test_a_missing_companion_is_named_with_its_place(folder: Path, separate: Mapping[str, ModelFile]) -> None:
    file = model(Z_IMAGE, Z_IMAGE.make(folder, layout="bare", name="lonely"))
    device = choose_device(0, "auto")
    with pytest.raises(BadInput, match=r"qwen_3_4b\.safetensors.*models/text_encoders"):
        families().load(file, device, {"vae": separate["vae"]})
    with pytest.raises(BadInput, match=r"ae\.safetensors.*models/VAE"):
        families().load(file, device, {"qwen3": separate["qwen3"]})


def test_a_text_encoder_of_another_size_is_refused(folder: Path, separate: Mapping[str, ModelFile]) -> None:
    tensors = {name: value for name, value in Z_IMAGE.original().items() if not name.startswith("cap_embedder")}
    tensors |= {"cap_embedder.0.weight": torch.ones(24), "cap_embedder.1.weight": torch.ones(WIDTH, 24)}
    tensors["cap_embedder.1.bias"] = torch.ones(WIDTH)
    save_file(tensors, folder / "wider.safetensors")
    with pytest.raises(BadInput, match="another size"):
        families().load(model(Z_IMAGE, folder / "wider.safetensors"), choose_device(0, "auto"), separate)

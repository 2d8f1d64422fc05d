"""GLIGEN: regions as boxes, as diffusers' own pipeline draws them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionGLIGENPipeline, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from swarm.base.errors import BadInput
from swarm.diffusion.schedule import ScheduleOptions
from swarm.diffusion.schedules.simple import simple
from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.latents import seeded_noise
from swarm.features.gligen import GLIGEN_FILE, GLIGEN_MODEL, gligen_file
from swarm.jobs.job import ModelFile
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.engine.test_oracle import GivenSigmas
from tests.support.tiny_models import Tiny, unet_name

pytestmark = pytest.mark.torch
PROMPT = "a boat on a lake"
PARTS = {"a red house": (0.25, 0.0, 0.5, 0.5), "snow": (0.0, 0.5, 1.0, 0.5)}
"""Phrases, and where they are: corner and size."""
REGIONS = PROMPT + "".join(
    f" <region:{','.join(map(str, place))}//cid={11 + number}>{text}"
    for number, (text, place) in enumerate(PARTS.items())
)


def gated(tiny: Tiny) -> UNet2DConditionModel:
    """The tiny UNet with GLIGEN's layers, which do something."""
    torch.manual_seed(3)
    config = {name: value for name, value in tiny.unet.config.items() if not name.startswith("_")}
    unet = UNet2DConditionModel.from_config({**config, "attention_type": "gated"}).eval()
    unet.load_state_dict(tiny.unet.state_dict(), strict=False)
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            if name.endswith(("alpha_attn", "alpha_dense")):
                weight.fill_(0.8)
            if "null" in name:
                weight.normal_()
    return unet


def published(unet: UNet2DConditionModel, path: Path) -> ModelFile:
    """Its layers as they are published: in the original names."""
    layers = unet.config.layers_per_block
    own = {name: value for name, value in unet.state_dict().items() if ".fuser." in name or "position_net" in name}
    named = {name if "position_net" in name else unet_name(name, unet, layers): value for name, value in own.items()}
    save_file({name: value.contiguous() for name, value in named.items()}, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@pytest.fixture(scope="module")
def unet(tiny: Mapping[str, Tiny]) -> UNet2DConditionModel:
    return gated(tiny[SD])


@pytest.fixture(scope="module")
def gligen(unet: UNet2DConditionModel, tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return published(unet, tmp_path_factory.mktemp("gligen") / "boxes.safetensors")


def drawn(bench: Bench, file: ModelFile, gligen: ModelFile | None, **wish: Any) -> torch.Tensor:
    files = {} if gligen is None else {GLIGEN_FILE: gligen}
    values = {"prompt": REGIONS, "steps": 4, "scheduler": "simple", "files": files, **wish}
    found: torch.Tensor = bench.picture(file, 7, **values)
    return found


@pytest.mark.parametrize("scale", [1.0, 5.0])
def test_regions_are_drawn_as_the_pipeline_draws_boxes(
    bench: Bench,
    tiny: Mapping[str, Tiny],
    files: Mapping[str, ModelFile],
    unet: UNet2DConditionModel,
    gligen: ModelFile,
    scale: float,
) -> None:
    plain = tiny[SD].pipeline()
    pipe = StableDiffusionGLIGENPipeline(
        vae=plain.vae, text_encoder=plain.text_encoder, tokenizer=plain.tokenizer, unet=unet,
        scheduler=GivenSigmas.from_config(plain.scheduler.config), safety_checker=None, feature_extractor=None,
        requires_safety_checker=False,
    )  # fmt: skip
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler.given = simple.sigmas(4, SigmaTable.scaled_linear(), ScheduleOptions())

    def for_both(_unet: Any, given: Any, named: dict[str, Any]) -> Any:
        # The pipeline shows the negative prompt no boxes; ComfyUI shows it the same.
        named["cross_attention_kwargs"]["gligen"]["masks"][:] = named["cross_attention_kwargs"]["gligen"]["masks"][-1]
        return given, named

    hook = unet.register_forward_pre_hook(for_both, with_kwargs=True)
    top = pipe.scheduler.given[0]
    noise = seeded_noise(7, (4, 8, 8)) * ((1 + top**2) ** 0.5 / float(pipe.scheduler.init_noise_sigma))
    boxes = [(left, up, left + wide, up + high) for left, up, wide, high in PARTS.values()]
    result = pipe(
        prompt=PROMPT + " ", negative_prompt="blurry", guidance_scale=scale, num_inference_steps=4, latents=noise,
        gligen_phrases=list(PARTS), gligen_boxes=[list(box) for box in boxes], gligen_scheduled_sampling_beta=1.0,
        height=64, width=64, output_type="pt",
    )  # fmt: skip
    hook.remove()
    expected = result.images[0].permute(1, 2, 0) * 255
    wish: dict[str, Any] = {"negativeprompt": "blurry", "cfgscale": scale}
    found = drawn(bench, files[SD], gligen, **wish)
    assert (found - expected).abs().max() <= 1.0
    without = drawn(bench, files[SD], gligen, prompt=PROMPT, **wish)
    assert (found - without).abs().max() > 4.0
    assert torch.equal(without, drawn(bench, files[SD], None, prompt=PROMPT, **wish))


def test_a_picture_with_boxes_does_not_depend_on_its_company(
    bench: Bench, files: Mapping[str, ModelFile], gligen: ModelFile
) -> None:
    wishes: list[dict[str, Any]] = [
        {"prompt": REGIONS, "files": {GLIGEN_FILE: gligen}},
        {"prompt": "a fox <region:0,0,0.5,0.5//cid=11>rain", "files": {GLIGEN_FILE: gligen}, "cfgscale": 2.0},
        {"prompt": REGIONS},
        {"prompt": PROMPT, "files": {GLIGEN_FILE: gligen}},
        {"prompt": REGIONS, "files": {GLIGEN_FILE: gligen}, "normalizedattentionguidancescale": 3.0},
    ]
    alone = [bench.picture(files[SD], 1, **dict(wish)) for wish in wishes]
    ids = [bench.submit(files[SD], (1,), **dict(wish)) for wish in wishes]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_what_does_not_fit_is_refused(
    bench: Bench, files: Mapping[str, ModelFile], gligen: ModelFile, tmp_path: Path
) -> None:
    id = bench.submit(files[XL], (1,), prompt=REGIONS, files={GLIGEN_FILE: gligen})
    bench.finish()
    assert "Set GLIGEN Model to None" in bench.failure(id).sentence
    tensors = load_file(gligen.path)
    save_file({name: value for name, value in tensors.items() if "middle" not in name}, tmp_path / "less.safetensors")
    less = ModelFile(name="less.safetensors", path=tmp_path / "less.safetensors", family=None, stamp="1")
    id = bench.submit(files[SD], (1,), prompt=REGIONS, files={GLIGEN_FILE: less})
    bench.finish()
    assert "does not fit" in bench.failure(id).sentence


class Shelf:
    """A models folder with one file."""

    def beside(self, relative: str) -> ModelFile | None:
        held = relative == "gligen/boxes.safetensors"
        return ModelFile(name=relative, path=Path(relative), family=None, stamp="1") if held else None


def test_the_model_is_found_in_its_folder() -> None:
    def find(name: str) -> Mapping[str, ModelFile]:
        return gligen_file.find(GenerationInput({GLIGEN_MODEL.id: name}), None, Shelf()).files  # type: ignore[arg-type]

    assert find("boxes.safetensors")[GLIGEN_FILE].name == "gligen/boxes.safetensors"
    assert find("None") == {}
    with pytest.raises(BadInput, match="no longer in the models folder 'gligen'"):
        find("gone.safetensors")

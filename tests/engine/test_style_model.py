"""Style models: pictures as the library's own further prompt tokens, and nothing at strength 0."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.flux.modeling_flux import ReduxImageEncoder
from PIL import Image
from safetensors.torch import save_file
from transformers import SiglipImageProcessor, SiglipVisionConfig, SiglipVisionModel

from swarm.base.errors import BadInput
from swarm.engine.control.redux import StyleReader
from swarm.engine.device import choose_device
from swarm.features.style_model import ENCODER_FILE, FOLDER, STYLE_FILE, style_model_files
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, Bench
from tests.engine.flow_oracle import PROMPT, model
from tests.support.tiny.flux import DEV

pytestmark = pytest.mark.torch


def stored(module: Any, path: Path, prefix: str = "") -> ModelFile:
    save_file({prefix + name: tensor.contiguous() for name, tensor in module.state_dict().items()}, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def picture(seed: int = 5, size: tuple[int, int] = (28, 28)) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 255, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


@pytest.fixture(scope="module")
def eyes() -> SiglipVisionModel:
    torch.manual_seed(2)
    config = SiglipVisionConfig(
        hidden_size=72, intermediate_size=48, num_hidden_layers=2, num_attention_heads=1, image_size=28, patch_size=14
    )
    return SiglipVisionModel(config).eval()


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    return model(DEV, DEV.make(tmp_path_factory.mktemp("flux"), layout="single"))


def reader(width: int) -> ReduxImageEncoder:
    torch.manual_seed(3)
    return ReduxImageEncoder(redux_dim=72, txt_in_features=width).eval()


def test_tokens_are_the_librarys(eyes: SiglipVisionModel, path: Path) -> None:
    redux = reader(32)
    made = StyleReader().tokens(
        stored(redux, path / "redux.safetensors"), stored(eyes, path / "eyes.safetensors", "vision_model."),
        (picture(), picture(6)), 32, choose_device(0, "auto"),
    )  # fmt: skip
    processor = SiglipImageProcessor(size={"height": 28, "width": 28})
    images = [Image.open(io.BytesIO(each.data)) for each in (picture(), picture(6))]
    with torch.inference_mode():
        seen = eyes(processor(images=images, return_tensors="pt").pixel_values).last_hidden_state
        expected = redux(seen).image_embeds.reshape(1, -1, 32)
    assert (made - expected).abs().max() < 1e-4


def test_flux_hears_pictures(bench: Bench, dev: ModelFile, eyes: SiglipVisionModel, path: Path) -> None:
    width = int(bench.models.loaded(dev, {}).components.denoiser.config.joint_attention_dim)  # type: ignore[union-attr, arg-type]
    files = {
        STYLE_FILE: stored(reader(width), path / "redux.safetensors"),
        ENCODER_FILE: stored(eyes, path / "eyes.safetensors"),
    }
    asked: dict[str, Any] = {"prompt": PROMPT, "steps": 3, "cfgscale": 1.0}
    seeing = {**asked, "promptimages": (picture(),), "usestylemodel": "redux.safetensors", "files": files}
    plain = bench.picture(dev, 7, **asked)
    variants = [
        {**seeing, "stylemodelmultiplystrength": 10.0},
        {**seeing, "stylemodelmultiplystrength": 10.0, "stylemodelmergestrength": 0.2},
        {**seeing, "stylemodelmultiplystrength": 10.0, "stylemodelapplystart": 0.3},
        asked,
    ]
    alone = [bench.picture(dev, 7, **values) for values in variants]
    assert (alone[0] - plain).abs().max() >= 1.0
    assert not torch.equal(alone[0], alone[1])
    assert not torch.equal(alone[0], alone[2])
    assert torch.equal(bench.picture(dev, 7, **seeing, stylemodelmergestrength=0.0), plain)
    ids = [bench.submit(dev, (7,), **values) for values in variants]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0


def test_refusals(
    bench: Bench, files: Mapping[str, ModelFile], dev: ModelFile, eyes: SiglipVisionModel, path: Path
) -> None:
    style, sight = stored(reader(24), path / "redux.safetensors"), stored(eyes, path / "eyes.safetensors")

    def refused(file: ModelFile, style: ModelFile) -> str:
        chosen = {STYLE_FILE: style, ENCODER_FILE: sight}
        id = bench.submit(file, (7,), promptimages=(picture(),), usestylemodel="redux.safetensors", files=chosen)
        bench.finish()
        return bench.failure(id).sentence

    assert "They are for Flux.1." in refused(files[SD], style)
    assert "It works with Flux.1 only." in refused(dev, style)
    assert "holds no style model" in refused(dev, sight)


class Shelf:
    """The model files of a server that has the style model alone."""

    def beside(self, relative: str) -> ModelFile | None:
        path = Path(relative)
        return ModelFile(name=relative, path=path, family=None, stamp="1") if path.parent.name == FOLDER else None

    def find(self, subtype: str, name: str) -> ModelFile | None:
        return None


def test_a_missing_encoder_is_named(dev: ModelFile) -> None:
    shelf: Any = Shelf()
    input = GenerationInput({"promptimages": (picture(),), "usestylemodel": "redux.safetensors"})
    with pytest.raises(BadInput, match=r"'sigclip_vision_patch14_384.safetensors' in the models folder 'clip_vision'"):
        style_model_files.find(input, dev, shelf)

"""Model files and folders: every layout loads to the same model, every broken file is refused with a sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from swarm.base.errors import BadInput
from swarm.engine.components import Components
from swarm.engine.device import choose_device
from swarm.engine.preview import colours_for
from swarm.engine.start import families
from swarm.jobs.job import ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def loaded(path: Path, family: str | None = SD) -> Components:
    file = ModelFile(name=path.name, path=path, family=family, stamp="1")
    return families().load(file, choose_device(0, "auto"), {})


@pytest.mark.parametrize("family", [SD, XL, "deep"])
def test_a_single_file_loads_every_weight(
    tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], family: str
) -> None:
    found, given = loaded(files[family].path, files[family].family), tiny[family]
    modules = list(found.modules)
    for module, expected in zip(modules, [given.unet, given.vae, *given.text], strict=True):
        weights = dict(module.named_parameters())
        for name, weight in expected.named_parameters():
            assert torch.equal(weights[name], weight), name
    assert found.vae_factor == (16 if family == "deep" else 8)


@pytest.mark.parametrize("family", [SD, XL])
def test_a_diffusers_folder_makes_the_same_picture_as_the_single_file(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], path: Path, family: str
) -> None:
    tiny[family].pipeline().save_pretrained(path / "folder")
    folder = ModelFile(name="folder", path=path / "folder", family=family, stamp="1")
    assert (bench.picture(folder, 4) - bench.picture(files[family], 4)).abs().max() <= 1.0


def test_a_vae_with_five_levels_makes_pictures_and_fits_its_own_preview_colours(
    bench: Bench, files: Mapping[str, ModelFile]
) -> None:
    assert bench.picture(files["deep"], width=128, height=64).shape == (64, 128, 3)
    with torch.inference_mode():
        colours = colours_for(loaded(files["deep"].path), choose_device(0, "auto"))
    assert colours.factors.shape == (4, 3)
    assert colours.factors.isfinite().all()


def test_the_file_may_say_what_shapes_cannot(tiny: Mapping[str, Tiny], path: Path) -> None:
    config = {"text_encoder": {"num_attention_heads": 4}, "scheduler": {"prediction_type": "v_prediction"}}
    found = loaded(tiny[SD].save_single_file(path / "own.safetensors", config))
    config_read: Any = found.text_modules[0].config
    assert config_read.num_attention_heads == 4
    assert found.prediction == "v_prediction"


def test_an_unknown_family_is_taken_for_its_layouts(files: Mapping[str, ModelFile]) -> None:
    assert loaded(files[XL].path, None).architecture.id == XL


def without(source: Path, target: Path, gone: str) -> Path:
    kept = {name: tensor for name, tensor in load_file(source).items() if gone not in name}
    save_file(kept, target)
    return target


@pytest.mark.parametrize(
    "gone",
    [
        "diffusion_model.out.2.bias",
        "decoder.mid.attn_1.k.weight",
        "encoder.layers.1.mlp.fc1.bias",
        "time_embed.0.weight",
    ],
)
def test_a_missing_tensor_is_named(files: Mapping[str, ModelFile], path: Path, gone: str) -> None:
    with pytest.raises(BadInput, match="is incomplete"):
        loaded(without(files[SD].path, path / "gap.safetensors", gone))


@pytest.mark.parametrize("gone", ["model.diffusion_model", "first_stage_model", "cond_stage_model"])
def test_a_missing_component_is_named(files: Mapping[str, ModelFile], path: Path, gone: str) -> None:
    with pytest.raises(BadInput, match=r"holds no|comes without"):
        loaded(without(files[SD].path, path / "part.safetensors", gone))


def test_a_lost_text_projection_is_noticed(files: Mapping[str, ModelFile], path: Path) -> None:
    with pytest.raises(BadInput, match="incomplete"):
        loaded(without(files[XL].path, path / "gap.safetensors", "text_projection"), XL)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\xff" * 64, b"\x10\0\0\0\0\0\0\0{}"])
def test_what_is_no_model_is_refused(path: Path, content: bytes) -> None:
    (path / "bad.safetensors").write_bytes(content)
    with pytest.raises(BadInput, match=r"bad\.safetensors"):
        loaded(path / "bad.safetensors")


def test_a_truncated_file_is_refused(files: Mapping[str, ModelFile], path: Path) -> None:
    (path / "cut.safetensors").write_bytes(files[SD].path.read_bytes()[:-1000])
    with pytest.raises(BadInput, match="damaged or incomplete"):
        loaded(path / "cut.safetensors")


def test_a_pickle_is_refused_and_the_way_out_named(path: Path) -> None:
    torch.save({"state_dict": {}}, path / "model.ckpt")
    with pytest.raises(BadInput, match=r"pickled.*safetensors"):
        loaded(path / "model.ckpt")


def test_a_folder_that_lacks_parts_is_refused(path: Path) -> None:
    (path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    with pytest.raises(BadInput, match="cannot be loaded"):
        loaded(path)

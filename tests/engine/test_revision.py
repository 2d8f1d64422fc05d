"""ReVision: the pictures' summary in the place of the prompt's, and nothing at strength 0."""

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
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from swarm.features.revision import ENCODER_FILE
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, XL, Bench

pytestmark = pytest.mark.torch


def eyes(path: Path, projection: int) -> ModelFile:
    torch.manual_seed(2)
    model = CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=16, image_size=32,
            patch_size=8, projection_dim=projection, hidden_act="quick_gelu",
        )
    )  # fmt: skip
    file = path / f"eyes{projection}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, file)
    return ModelFile(name=file.name, path=file, family=None, stamp="1")


def picture(seed: int) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).resize((48, 32), Image.Resampling.NEAREST).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def test_pictures_are_seen(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    file = eyes(path, 64)

    def made(seed: int = 5, **more: Any) -> Any:
        values = {"promptimages": (picture(seed),), "files": {ENCODER_FILE: file}, "revisionstrength": 1.0, **more}
        return bench.picture(files[XL], 3, **values)

    plain = bench.picture(files[XL], 3)
    assert torch.equal(made(revisionstrength=0.0), plain)
    strong = made(revisionstrength=10.0)
    assert (strong - plain).abs().max() >= 1.0
    silent = made(revisionzeroprompt=True)
    assert (silent - made()).abs().max() >= 1.0
    assert torch.equal(silent, made(revisionzeroprompt=True, prompt="another", negativeprompt="thing"))
    empty = made(prompt="", negativeprompt="")
    assert torch.equal(empty, silent)


def test_other_models_and_eyes_are_refused(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    def refused(family: str, file: ModelFile) -> str:
        values: dict[str, Any] = {"promptimages": (picture(5),), "revisionstrength": 1.0}
        values["files"] = {ENCODER_FILE: file}
        id = bench.submit(files[family], (3,), **values)
        bench.finish()
        return bench.failure(id).sentence

    assert refused(SD, eyes(path, 64)).startswith("Model type must be SDXL for ReVision (currently is ")
    assert "is not CLIP-ViT-bigG" in refused(XL, eyes(path, 24))

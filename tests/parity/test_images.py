"""Pictures that begin with a picture, have a mask, or are refined, enlarged or decoded in tiles are SwarmUI's.

What was recorded are ComfyUI's modules in the order in which SwarmUI (2026) asks for them: `init` and `mask` through
its own nodes, crops at the model's size and back, the refine stage between decoding and encoding. VAEs encode to the
middle of what they say, as later ComfyUI does.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import CLIPSegConfig, CLIPSegForImageSegmentation

from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import SD, XL, Bench
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference, psnr

pytestmark = pytest.mark.torch
SEED = 7
SAME = 48.0
"""The least PSNR (dB): nearly every level is the same."""
SENSITIVE = {"colours fitted evenly": 10.0, "mask of another size": 4.0}
"""Where one level more or less before makes several after: dark pixels' saturation, a mask's ties."""
SETTINGS = {"family": SD, "prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 6, "cfgscale": 6.0}


def scene(width: int, height: int, bands: int = 3) -> Picture:
    """A picture whose neighbours differ, with waves of several lengths."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [rows * 3.1 + columns * 0.7, 90 * np.sin(columns / 5.0) + rows, 60 * np.cos((rows + columns) / 3.0) + 120]
    waves.append(255.0 - 255.0 * ((rows - height / 2) ** 2 + (columns - width / 2) ** 2) / (height * width / 2))
    return file(np.stack(waves[:bands], axis=-1).clip(0, 255))


def marked(soft: bool = False, size: int = 64) -> Picture:
    """White where there is to be something new, off the middle; with gray steps around it if `soft`."""
    mask = np.zeros((size, size, 3))
    if soft:
        mask[8:52, 10:60] = 90
        mask[14:46, 14:54] = 170
    mask[20:42, 22:46] = 255
    return file(mask)


def file(levels: Any) -> Picture:
    data = io.BytesIO()
    Image.fromarray(levels.astype(np.uint8)).save(data, "PNG")
    return Picture(data=data.getvalue(), mime="image/png")


INIT: dict[str, Any] = {"initimage": scene(64, 64), "initimagecreativity": 0.6}
MASKED: dict[str, Any] = {**INIT, "maskimage": marked()}
SOFT: dict[str, Any] = {**INIT, "maskimage": marked(soft=True)}
REFINED: dict[str, Any] = {"refinermethod": "PostApply", "refinercontrolpercentage": 0.4}
LARGER: dict[str, Any] = {**REFINED, "refinerupscale": 1.5, "width": 48, "height": 48}
SEGMENT: dict[str, Any] = {"segment": ("eye", 0.6, 0.5, "a blue eye"), "segmentmaskgrow": 2, "segmentmaskoversize": 4}
CASES: dict[str, dict[str, Any]] = {
    "init": INIT,
    "init stretched": {**INIT, "initimage": scene(97, 43)},
    "init shrunk, with alpha": {**INIT, "initimage": scene(150, 170, bands=4)},
    "init with noise and reset": {**INIT, "initimagenoise": 0.4, "initimageresettonorm": 0.3},
    "mask": MASKED,
    "mask grown and blurred": {**MASKED, "maskgrow": 5, "maskblur": 6},
    "mask in steps": SOFT,
    "mask in steps, blended": {**SOFT, "maskbehavior": "Simple Latent"},
    "mask in steps, put back softly": {**SOFT, "maskcompositeunthresholded": True},
    "mask by ddim": {**MASKED, "sampler": "ddim"},
    "mask and inpainting encode": {**MASKED, "useinpaintingencode": True},
    "mask with noise and reset": {**SOFT, "initimagenoise": 0.5, "initimageresettonorm": 0.4, "maskblur": 4},
    "mask of another size": {**INIT, "maskimage": marked(soft=True, size=80)},
    "mask, nothing walked": {**MASKED, "initimagecreativity": 0.0},
    "colours fitted evenly": {**MASKED, "colorcorrectionbehavior": "Uniform"},
    "colours fitted by lines": {**MASKED, "maskblur": 3, "colorcorrectionbehavior": "Linear"},
    "area": {**MASKED, "maskshrinkgrow": 8},
    "area in steps": {**SOFT, "maskshrinkgrow": 3, "maskblur": 4, "initimagenoise": 0.2},
    "area, xl": {**MASKED, "family": XL, "maskshrinkgrow": 4},
    "area, refined": {**MASKED, **REFINED, "maskshrinkgrow": 8},
    "mask, refined": {**SOFT, **REFINED},
    "mask, enlarged": {**SOFT, **LARGER, "refinerupscalemethod": "pixel-bilinear"},
    "refined": {**REFINED, "refinersteps": 5, "refinercfgscale": 3.0, "refinersampler": "dpmpp_2m"},
    "swapped": {**REFINED, "refinermethod": "StepSwap"},
    "larger by lanczos": {**LARGER, "refinerupscalemethod": "pixel-lanczos"},
    "larger, xl": {**LARGER, "family": XL, "refinerupscalemethod": "pixel-lanczos"},
    "larger only": {**LARGER, "refinercontrolpercentage": 0.0, "refinerupscalemethod": "pixel-bicubic"},
    "latent larger by bislerp": {**LARGER, "refinerupscalemethod": "latent-bislerp"},
    "refined, varied": {**REFINED, "variationseed": 11, "variationseedstrength": 0.4},
    "refined in tiles": {
        **LARGER,
        "refinerupscalemethod": "pixel-area",
        "refinerdotiling": True,
        "tile": 128,
        "width": 96,
        "steps": 4,
    },
    "segment": SEGMENT,
    "segment, put back softly": {**SEGMENT, "maskcompositeunthresholded": True, "segmentthresholdmax": 0.6},
    "segment, xl": {**SEGMENT, "family": XL, "segmentmaskblur": 3},
    "decoded in tiles": {"vaetilesize": 128, "vaetileoverlap": 32, "width": 160, "steps": 2},
    "encoded in tiles": {
        **INIT,
        "initimage": scene(64, 144),
        "vaetilesize": 128,
        "vaetileoverlap": 32,
        "height": 144,
        "steps": 2,
    },
}


def write_words(folder: Path) -> Path:
    """A small network that finds what words describe, with a grid of places it is sure about."""
    tower = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2}
    small = {
        "text_config": tower,
        "vision_config": {**tower, "patch_size": 32, "image_size": 64},
        "projection_dim": 16,
        "reduce_dim": 8,
        "extract_layers": [0, 1, 2],
        "decoder_intermediate_size": 16,
        "decoder_num_attention_heads": 2,
    }
    torch.manual_seed(4)
    net = CLIPSegForImageSegmentation(CLIPSegConfig(**small))
    save_file({name: tensor.clone() for name, tensor in net.state_dict().items()}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(small))
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    path = write_words(tmp_path_factory.mktemp("words"))
    return ModelFile(name="words", path=path, family=None, stamp="1")


@cache
def recorded() -> Mapping[str, Any]:
    return expected("images")


def asked(case: str, words: ModelFile) -> dict[str, Any]:
    """What is asked of our engine; a segment as part of the prompt."""
    values = {**SETTINGS, **CASES[case]}
    if "segment" in values:
        what, creativity, threshold, prompt = values.pop("segment")
        values["prompt"] += f" <segment:{what},{creativity},{threshold}//cid=11> {prompt}"
        values["files"] = {"words": words}
    if "variationseed" in values:
        values["variation_seeds"] = (values["variationseed"],)
    return values


@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_swarmuis(bench: Bench, files: Mapping[str, ModelFile], words: ModelFile, case: str) -> None:
    values = asked(case, words)
    side = values.pop("tile", 0)
    model = replace(files[values.pop("family")], width=side, height=side)
    found = bench.picture(model, SEED, modelspecificenhancements=False, **values)
    wanted = recorded()[case]
    assert wanted.std() > 10
    assert largest_difference(found, wanted) <= SENSITIVE.get(case, DETERMINISTIC)
    assert psnr(found, wanted) >= SAME

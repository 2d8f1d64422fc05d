"""ControlNets beside Flux.1 and Stable Diffusion 3: diffusers' own pictures, every layout, company, refusals."""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FluxControlNetPipeline, StableDiffusion3ControlNetPipeline
from PIL import Image
from safetensors.torch import save_file

from swarm.diffusion.sigmas import SigmaTable
from swarm.engine.control.sd3_controls import own_places
from swarm.engine.packing import packed
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture
from tests.engine.conftest import Bench
from tests.engine.flow_oracle import given, model, noise, pixels
from tests.support.tiny.controls import flux_net, sd3_net
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import DEV, KONTEXT
from tests.support.tiny.stable_diffusion_3 import MEDIUM
from tests.support.tiny.weights import state

pytestmark = pytest.mark.torch
TABLE = SigmaTable.flow(exp(1.15), 10_000)
PROMPT = "a red fox"


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


def guide(seed: int = 5) -> Image.Image:
    levels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    return Image.fromarray(levels).resize((64, 64), Image.Resampling.NEAREST)


def shown(seed: int = 5) -> Picture:
    file = io.BytesIO()
    guide(seed).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def controlled(file: ModelFile, **more: Any) -> dict[str, Any]:
    return {
        "prompt": PROMPT,
        "steps": 3,
        "cfgscale": 1.0,
        "scheduler": "simple",
        "controlnetstrength": 0.7,
        "controlnetmodel": file.name,
        "controlnetpreprocessor": "None",
        "controlnetimageinput": shown(),
        "files": {"controlnetmodel": file},
        **more,
    }


def certain(vae: Any) -> None:
    """Pipelines draw a picture's latent from what the VAE is unsure of; make it sure."""
    with torch.no_grad():
        weight, bias = vae.encoder.conv_out.weight, vae.encoder.conv_out.bias
        weight[len(weight) // 2 :] = 0
        bias[len(bias) // 2 :] = -30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("flow-controls")


@pytest.fixture(scope="module")
def dev(folder: Path) -> ModelFile:
    return model(DEV, DEV.make(folder, layout="single"))


def flux_pipeline(net: Any) -> Any:
    pipe = FluxControlNetPipeline(**DEV.reference().components, controlnet=net)
    pipe.set_progress_bar_config(disable=True)
    certain(pipe.vae)
    return given(pipe, TABLE, 3)


@pytest.mark.parametrize(
    ("kind", "config", "asked", "told"),
    [
        ("plain", {}, {}, {}),
        ("guided", {"guidance_embeds": False, "num_layers": 1}, {}, {}),
        ("union", {"num_mode": 7}, {"controlnetuniontype": "depth"}, {"control_mode": 2}),
        ("eyed", {"conditioning_embedding_channels": 16, "patch_size": 2, "num_layers": 1}, {}, {}),
    ],
)
def test_flux_is_the_pipelines_picture(
    bench: Bench, dev: ModelFile, folder: Path, kind: str, config: Any, asked: Any, told: Any
) -> None:
    net = flux_net(**config)
    save_file(state(net), folder / f"{kind}.safetensors")
    result = flux_pipeline(net)(
        prompt=PROMPT, control_image=guide(), controlnet_conditioning_scale=0.7, guidance_scale=3.5, height=64,
        width=64, num_inference_steps=3, latents=packed(noise(7)), max_sequence_length=256, output_type="pt", **told,
    )  # fmt: skip
    values = controlled(file_of(folder / f"{kind}.safetensors"), **asked)
    found = bench.picture(dev, 7, **values)
    assert (found - pixels(result)).abs().max() <= 2.0
    plain = {name: value for name, value in values.items() if not name.startswith("controlnet")}
    assert (found - bench.picture(dev, 7, **plain)).abs().max() > 5.0


def sd3_pipeline(family: TinyFamily, net: Any) -> Any:
    """Published CLIP-L files have no projection; the pipeline has one that changes nothing."""
    pipe = StableDiffusion3ControlNetPipeline(**reference_components(family), controlnet=net)
    pipe.set_progress_bar_config(disable=True)
    certain(pipe.vae)
    projection = pipe.text_encoder.text_projection.weight
    with torch.no_grad():
        projection.copy_(torch.eye(projection.shape[0]))
    return given(pipe, SigmaTable.flow(3.0), 3)


def reference_components(family: TinyFamily) -> dict[str, Any]:
    return {name: part for name, part in family.reference().components.items() if part is not None}


SMALL = {"joint_attention_dim": None, "use_pos_embed": False, "qk_norm": None, "dual_attention_layers": ()}
"""What 3.5 Large's nets lack."""


@pytest.mark.parametrize("layout", ["file", "folder"])
def test_sd3_is_the_pipelines_picture(bench: Bench, folder: Path, layout: str) -> None:
    """Nets that hear the prompt are shown latents without the shift."""
    net = sd3_net(MEDIUM)
    if layout == "folder":
        net.save_pretrained(folder / "sd3-net")
    else:
        save_file(state(net), folder / f"sd3-{layout}.safetensors")
    path = folder / ("sd3-net" if layout == "folder" else f"sd3-{layout}.safetensors")
    result = sd3_pipeline(MEDIUM, net)(
        prompt=PROMPT, negative_prompt="blue", guidance_scale=4.0, control_image=guide(),
        controlnet_conditioning_scale=0.7, height=64, width=64, num_inference_steps=3, latents=noise(7),
        max_sequence_length=77, output_type="pt",
    )  # fmt: skip
    values = controlled(file_of(path), cfgscale=4.0, negativeprompt="blue")
    file = model(MEDIUM, MEDIUM.make(folder, layout="single"))
    found = bench.picture(file, 7, **values)
    assert (found - pixels(result)).abs().max() <= 2.0
    plain = {name: value for name, value in values.items() if not name.startswith("controlnet")}
    assert (found - bench.picture(file, 7, **plain)).abs().max() > 5.0


def test_small_nets_have_places_of_their_own() -> None:
    """The picture itself is compared with ComfyUI's by tests/parity."""
    places = own_places(2, 4, 8).reshape(2, 4, 8)
    # Columns from 7.5 - 15 to 7.5 + 15, rows from 0 to 15; two rates each, sines before cosines.
    across = torch.tensor([-7.5, 2.5, 12.5, 22.5])
    assert torch.allclose(places[0, :, 0], across.sin(), atol=1e-5)
    assert torch.allclose(places[1, :, 3], (across / 100).cos(), atol=1e-5)
    assert torch.allclose(places[:, 2, 4], torch.tensor([0.0, 15.0]).sin(), atol=1e-5)


@pytest.fixture(scope="module")
def nets(folder: Path) -> Mapping[str, ModelFile]:
    save_file(state(flux_net()), folder / "kept-flux.safetensors")
    save_file(state(sd3_net(MEDIUM)), folder / "kept-sd3.safetensors")
    save_file(state(flux_net(num_mode=7)), folder / "kept-union.safetensors")
    return {name: file_of(folder / f"kept-{name}.safetensors") for name in ("flux", "sd3", "union")}


@pytest.mark.parametrize("kind", ["flux", "sd3"])
def test_pictures_follow_alone_and_together(
    bench: Bench, folder: Path, nets: Mapping[str, ModelFile], kind: str
) -> None:
    family = DEV if kind == "flux" else MEDIUM
    file, net = model(family, family.make(folder, layout="single")), nets[kind]
    variants = [
        controlled(net, cfgscale=3.0),
        controlled(net, controlnetstrength=0.4, controlnetimageinput=shown(9)),
        controlled(net, controlnetend=0.3, prompt="a house"),
        {"prompt": PROMPT, "cfgscale": 1.0},
    ]
    alone = [bench.picture(file, 3, **values) for values in variants]
    ids = [bench.submit(file, (3,), **values) for values in variants]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    whole = controlled(net, controlnetstrength=1.5)
    halves = controlled(net, controlnetstrength=0.5, controlnettwostrength=1.0, controlnettwomodel=net.name,
        controlnettwopreprocessor="None", files={"controlnetmodel": net, "controlnettwomodel": net})  # fmt: skip
    assert (bench.picture(file, 3, **halves) - bench.picture(file, 3, **whole)).abs().max() <= 1.0


def test_nets_look_past_references(bench: Bench, folder: Path, nets: Mapping[str, ModelFile]) -> None:
    file = model(KONTEXT, KONTEXT.make(folder, layout="single"))
    values = controlled(nets["flux"], promptimages=(shown(2),), smartimagepromptresizing=False)
    plain = {name: value for name, value in values.items() if not name.startswith("controlnet")}
    assert (bench.picture(file, 3, **values) - bench.picture(file, 3, **plain)).abs().max() > 2.0


def test_refusals(bench: Bench, dev: ModelFile, folder: Path, nets: Mapping[str, ModelFile]) -> None:
    def refused(file: ModelFile, values: dict[str, Any]) -> str:
        id = bench.submit(file, (3,), **values)
        bench.finish()
        return bench.failure(id).sentence

    sd3 = model(MEDIUM, MEDIUM.make(folder, layout="single"))
    assert "another kind of model" in refused(dev, controlled(nets["sd3"]))
    assert "another kind of model" in refused(sd3, controlled(nets["flux"]))
    save_file({"conv.weight": torch.zeros(2)}, folder / "none.safetensors")
    assert "holds no ControlNet" in refused(dev, controlled(file_of(folder / "none.safetensors")))
    unknown = refused(dev, controlled(nets["union"], controlnetuniontype="normal"))
    assert unknown == "The ControlNet 'kept-union.safetensors' does not know the union type 'normal'."
    save_file(state(sd3_net(MEDIUM, extra_conditioning_channels=1)), folder / "masked.safetensors")
    assert "wants a mask" in refused(sd3, controlled(file_of(folder / "masked.safetensors")))

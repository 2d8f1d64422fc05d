"""ControlNets: the same numbers as the library's, alone and together, in every layout and with every refusal."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, ControlNetUnionModel
from PIL import Image
from safetensors.torch import save_file
from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

from swarm.base.errors import BadInput
from swarm.engine.adapters.unet import UnetDenoiser
from swarm.engine.components import Row
from swarm.engine.control.control_layouts import old_name
from swarm.engine.control.controls import Controls, load_control
from swarm.engine.device import choose_device
from swarm.engine.networks.depth import load as load_depth
from swarm.features.controlnet import NO_IMAGE, NO_MODEL, NO_PREPROCESSOR, annotator, first_preprocessor
from swarm.features.preprocessors.canny import CANNY, canny
from swarm.features.preprocessors.depth import DEPTH, DEPTH_FOLDERS, NETWORK
from swarm.features.preprocessors.scribble import SCRIBBLE, scribble
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Conditioning, Control
from swarm.media.image import Picture
from swarm.params.input import GenerationInput
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny.unet_controls import original_control_name
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch


def loud(net: Any) -> Any:
    """A net whose zero convolutions are none."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if name.startswith(("controlnet_down", "controlnet_mid", "controlnet_cond_embedding.conv_out")):
                weight.copy_(torch.randn_like(weight) * 0.3)
    return net.eval()


def original(net: Any) -> dict[str, torch.Tensor]:
    """A net's tensors by their original names."""
    named = {f"control_model.{original_control_name(key, net)}": value for key, value in net.state_dict().items()}
    return {name: tensor.contiguous() for name, tensor in named.items()}


def file_of(path: Path) -> ModelFile:
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


@pytest.fixture(scope="module")
def nets(tiny: Mapping[str, Tiny], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ModelFile]:
    folder = tmp_path_factory.mktemp("controls")
    small, large = (loud(ControlNetModel.from_unet(tiny[family].unet)) for family in (SD, XL))
    save_file(original(small), folder / "canny.safetensors")
    save_file({k: v.contiguous() for k, v in large.state_dict().items()}, folder / "xl.safetensors")
    small.save_pretrained(folder / "folder")
    named = ControlNetUnionModel.from_unet(tiny[XL].unet).config.items()
    config = {name: value for name, value in named if not name.startswith("_")}
    union = ControlNetUnionModel.from_config(
        {**config, "num_trans_channel": 32, "num_trans_head": 1, "num_proj_channel": 32}
    )
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in union.parameters():
            weight.copy_(torch.randn_like(weight) * 0.05)
    save_file({k: v.contiguous() for k, v in union.state_dict().items()}, folder / "union.safetensors")
    return {
        "old": file_of(folder / "canny.safetensors"),
        "folder": file_of(folder / "folder"),
        XL: file_of(folder / "xl.safetensors"),
        "union": file_of(folder / "union.safetensors"),
    }


def picture(seed: int = 5) -> Picture:
    levels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(levels).resize((64, 64), Image.Resampling.NEAREST).save(file, "PNG")
    return Picture(data=file.getvalue(), mime="image/png")


def controlled(file: ModelFile, **more: Any) -> dict[str, Any]:
    return {
        "controlnetstrength": 1.0,
        "controlnetmodel": file.name,
        "controlnetpreprocessor": "None",
        "controlnetimageinput": picture(),
        "files": {"controlnetmodel": file},
        **more,
    }


def test_residuals_are_the_librarys(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]
) -> None:
    model = bench.models.loaded(files[SD], {})
    denoiser = model.denoiser
    assert isinstance(denoiser, UnetDenoiser)
    told = Conditioning(tokens=torch.randn(1, 77, 32))
    x, hints = torch.randn(2, 4, 8, 8), torch.rand(2, 3, 64, 64)
    rows = [
        Row(
            x=x[number : number + 1],
            timestep=400.0 + number,
            sigma=1.0,
            conditioning=told,
            controls=(Control(file=nets["old"], hint=hints[number : number + 1], strength=0.5 + number),),
        )
        for number in range(2)
    ]
    ours = denoiser(rows)
    reference = ControlNetModel.from_pretrained(nets["folder"].path).eval()
    for number, row in enumerate(rows):
        time = torch.tensor([row.timestep])
        with torch.inference_mode():
            downs, middle = reference(
                row.x, time, told.tokens, hints[number : number + 1], 0.5 + number, return_dict=False
            )
            expected = (
                tiny[SD]
                .unet(
                    row.x,
                    time,
                    told.tokens,
                    down_block_additional_residuals=downs,
                    mid_block_additional_residual=middle,
                )
                .sample
            )
            plain = tiny[SD].unet(row.x, time, told.tokens).sample
        assert (ours[number] - expected[0]).abs().max() < 1e-4
        assert (expected - plain).abs().max() > 1e-2


def test_every_layout_is_the_same_net(
    tiny: Mapping[str, Tiny], bench: Bench, nets: Mapping[str, ModelFile], path: Path
) -> None:
    unet, device = tiny[SD].unet, bench.models.device
    weights = load_control(nets["old"], unet, device).state_dict()
    new = path / "new.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, new)
    for other in (file_of(new), nets["folder"]):
        found = load_control(other, unet, device).state_dict()
        assert all(torch.equal(found[name], tensor) for name, tensor in weights.items())
    assert old_name("input_hint_block.6.bias", 2) == "controlnet_cond_embedding.blocks.2.bias"


@pytest.mark.parametrize("family", [SD, XL])
def test_pictures_follow_alone_and_together(
    bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile], family: str
) -> None:
    net = nets["old" if family == SD else XL]
    plain = bench.picture(files[family], 3)
    variants = [
        controlled(net),
        controlled(net, controlnetstrength=0.4, controlnetimageinput=picture(9)),
        controlled(net, controlnetend=0.3),
        {},
    ]
    alone = [bench.picture(files[family], 3, **values) for values in variants]
    assert all((made - plain).abs().max() > 2.0 for made in alone[:3])
    assert (alone[0] - alone[2]).abs().max() > 2.0
    ids = [bench.submit(files[family], (3,), **values) for values in variants]
    bench.finish()
    for id, expected in zip(ids, alone, strict=True):
        assert (bench.pixels(id) - expected).abs().max() <= 1.0
    assert torch.equal(bench.picture(files[family], 3, **controlled(net, controlnetstrength=0.0)), plain)
    assert torch.equal(
        bench.picture(files[family], 3, **controlled(net, controlnetstart=1.0, controlnetend=0.0)), plain
    )


def test_slots_add_up(bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]) -> None:
    net = nets["old"]
    whole = bench.picture(files[SD], 3, **controlled(net, controlnetstrength=1.5))
    slots = {f"controlnet{slot}{what}": value for slot in ("two", "three") for what, value in (
        ("strength", 0.5), ("model", net.name), ("preprocessor", "None"))}  # fmt: skip
    three = controlled(net, controlnetstrength=0.5) | slots
    three["files"] = {f"controlnet{slot}model": net for slot in ("", "two", "three")}
    assert (bench.picture(files[SD], 3, **three) - whole).abs().max() <= 1.0


def test_the_init_image_stands_in(bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]) -> None:
    named = controlled(nets["old"], initimage=picture(), initimagecreativity=1.0)
    fallen = {key: value for key, value in named.items() if key != "controlnetimageinput"}
    assert torch.equal(bench.picture(files[SD], 3, **named), bench.picture(files[SD], 3, **fallen))


def test_union_nets_are_told_the_kind(
    bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]
) -> None:
    values = controlled(nets["union"])
    depth = bench.picture(files[XL], 3, **values, controlnetuniontype="depth")
    lines = bench.picture(files[XL], 3, **values, controlnetuniontype="canny/lineart/anime_lineart/mlsd")
    assert (depth - lines).abs().max() >= 1.0
    untold = bench.picture(files[XL], 3, **values)
    assert (untold - lines).abs().max() >= 1.0 and (untold - depth).abs().max() >= 1.0
    unknown = bench.submit(files[XL], (3,), **values, controlnetuniontype="tile")
    bench.finish()
    assert bench.failure(unknown).sentence == "The ControlNet 'union.safetensors' does not know the union type 'tile'."


def test_refusals(bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile], path: Path) -> None:
    def refused(family: str, values: dict[str, Any]) -> str:
        id = bench.submit(files[family], (3,), **values)
        bench.finish()
        return bench.failure(id).sentence

    assert "another kind of model" in refused(XL, controlled(nets["old"]))
    assert refused(SD, controlled(nets["old"], files={})) == NO_MODEL
    assert refused(SD, controlled(nets["old"], controlnetimageinput=None)) == NO_IMAGE
    assert refused(SD, controlled(nets["old"], controlnetpreviewonly=True)) == NO_PREPROCESSOR
    unknown = refused(SD, controlled(nets["old"], controlnetpreprocessor="Watercolour"))
    assert unknown == "There is no ControlNet preprocessor 'Watercolour'."
    save_file({"conv.weight": torch.zeros(2)}, path / "none.safetensors")
    assert (
        refused(SD, controlled(file_of(path / "none.safetensors")))
        == "The file 'none.safetensors' holds no ControlNet."
    )


def test_a_preview_is_the_prepared_picture(
    bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile]
) -> None:
    values = controlled(nets["old"], controlnetpreviewonly=True, controlnetpreprocessor=CANNY.id)
    made = bench.picture(files[SD], 3, **values)
    assert made.unique().tolist() == [0.0, 255.0]
    guessed = {key: value for key, value in values.items() if key != "controlnetpreprocessor"}
    assert torch.equal(bench.picture(files[SD], 3, **guessed), made)
    scribbled = bench.picture(files[SD], 3, **{**values, "controlnetpreprocessor": SCRIBBLE.id})
    assert not torch.equal(scribbled, made)


def test_canny_draws_outlines_one_pixel_wide() -> None:
    image = torch.zeros(1, 3, 40, 40)
    image[..., 10:30, 12:28] = 1.0
    lines = canny(image)[0, 0]
    assert lines[20].nonzero().flatten().tolist() in ([11, 27], [12, 28], [11, 28], [12, 27])
    assert lines[:, 20].sum() == 2
    assert lines[14:26, 15:25].sum() == 0
    assert canny(image * 0.05).sum() == 0
    ramp = torch.linspace(0, 1, 40).expand(1, 3, 40, 40)
    assert canny(ramp).sum() == 0


def test_weak_lines_live_by_strong_ones() -> None:
    image = torch.zeros(1, 3, 20, 60)
    image[..., 10:, :30] = 0.3
    image[..., 10:, 30:] = 0.13
    both = canny(image)[0, 0]
    assert both[8:12, 40:50].sum() >= 10
    image[..., 10:, :32] = 0.0
    image[..., 10:, 28:32] = 0.13
    assert canny(image)[0, 0][8:12, 40:50].sum() == 0


def test_scribbles_are_thick() -> None:
    image = torch.ones(1, 3, 40, 40)
    image[..., :, 20:] = 0.0
    strokes = scribble(image)[0, 0]
    assert 1 <= strokes[20].sum() <= 8
    assert strokes[:, :10].sum() == strokes[:, 30:].sum() == 0


def test_nets_are_kept(bench: Bench, tiny: Mapping[str, Tiny], nets: Mapping[str, ModelFile]) -> None:
    controls = Controls(tiny[SD].unet, bench.models.device)
    assert controls.net(nets["old"]) is controls.net(nets["old"])


@pytest.fixture(scope="module")
def depth_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFile:
    torch.manual_seed(1)
    folder = tmp_path_factory.mktemp("annotators") / "depth"
    config = DPTConfig(
        hidden_size=32, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8,
        backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8,
    )  # fmt: skip
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
    return file_of(folder)


def test_depth_comes_from_a_model(
    bench: Bench, files: Mapping[str, ModelFile], nets: Mapping[str, ModelFile], depth_folder: ModelFile, path: Path
) -> None:
    found = load_depth(depth_folder, choose_device(0, "auto"))(torch.rand(1, 3, 64, 48))
    assert found.shape == (1, 1, 64, 48)
    assert found.min() == 0.0
    assert abs(float(found.max()) - 1.0) < 1e-5
    values = controlled(nets["old"], controlnetpreprocessor=DEPTH.id)
    values["files"] = {"controlnetmodel": nets["old"], annotator(NETWORK): depth_folder}
    assert (bench.picture(files[SD], 3, **values) - bench.picture(files[SD], 3)).abs().max() > 1.0
    with pytest.raises(BadInput, match="The depth model in 'nothing' cannot be loaded"):
        load_depth(file_of(path / "nothing"), choose_device(0, "auto"))


class Shelf:
    """What lies below the models folder of a server."""

    def __init__(self, *places: str) -> None:
        self._places = places

    def beside(self, relative: str) -> ModelFile | None:
        return file_of(Path(relative)) if relative in self._places else None


def test_what_a_preprocessor_lacks_is_named(files: Mapping[str, ModelFile]) -> None:
    values = {"controlnetstrength": 1.0, "controlnetmodel": "control_depth.safetensors", "initimage": picture()}

    def asked(shelf: Any, **more: Any) -> Any:
        return first_preprocessor.find(GenerationInput({**values, **more}), files[SD], shelf).files

    with pytest.raises(BadInput, match="annotators/Depth-Anything-V2-Small-hf"):
        asked(Shelf())
    assert set(asked(Shelf(DEPTH_FOLDERS[1]))) == {annotator(NETWORK)}
    assert asked(Shelf(), controlnetpreprocessor="None") == {}
    with pytest.raises(BadInput) as refusal:
        asked(Shelf(), initimage=None)
    assert refusal.value.sentence == NO_IMAGE

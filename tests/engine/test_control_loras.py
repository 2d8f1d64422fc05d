"""Control-LoRAs: the ControlNet that differences make of the UNet's weights, LoRAs in them included; refusals."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import load_file, save_file

from swarm.base.errors import BadInput
from swarm.engine.control.control_loras import Lent
from swarm.engine.control.controls import check_control, load_control
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import SD, XL, Bench, new_bench
from tests.engine.test_controlnet import controlled, file_of, loud, picture
from tests.support.tiny.unet_controls import control_lora
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
TIME, QUERIES = "time_embedding.linear_1", "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("control-loras")


@pytest.fixture(scope="module")
def whole(tiny: Mapping[str, Tiny], folder: Path) -> Mapping[str, Any]:
    """By family: the ControlNet that its Control-LoRA, which is written into the folder, stands for."""
    found = {}
    for family in (SD, XL):
        unet = tiny[family].unet
        tensors, found[family] = control_lora(unet, loud(ControlNetModel.from_unet(unet)))
        save_file(tensors, folder / f"lora-{family}.safetensors")
        save(found[family], folder / f"whole-{family}.safetensors")
    return found


def save(net: Any, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)


def lora_of(folder: Path, family: str) -> ModelFile:
    return file_of(folder / f"lora-{family}.safetensors")


@pytest.mark.parametrize("family", [SD, XL])
def test_a_picture_is_that_of_the_net_it_stands_for(
    bench: Bench, files: Mapping[str, ModelFile], whole: Mapping[str, Any], folder: Path, family: str
) -> None:
    variants = [
        controlled(lora_of(folder, family), controlnetstrength=0.6),
        controlled(lora_of(folder, family), controlnetstrength=0.3, controlnetimageinput=picture(9)),
        {},
    ]
    found = [bench.picture(files[family], 3, **values) for values in variants]
    expected = bench.picture(
        files[family], 3, **controlled(file_of(folder / f"whole-{family}.safetensors"), controlnetstrength=0.6)
    )
    assert (found[0] - expected).abs().max() <= 1.0
    assert (found[0] - found[2]).abs().max() > 8.0
    ids = [bench.submit(files[family], (3,), **values) for values in variants]
    bench.finish()
    for id, alone in zip(ids, found, strict=True):
        assert (bench.pixels(id) - alone).abs().max() <= 1.0


def test_it_answers_as_the_librarys_net(
    bench: Bench, tiny: Mapping[str, Tiny], whole: Mapping[str, Any], folder: Path
) -> None:
    net = load_control(lora_of(folder, XL), tiny[XL].unet, bench.models.device)
    x, tokens, hint = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 96), torch.rand(2, 3, 64, 64)
    told = {"text_embeds": torch.randn(2, 64), "time_ids": torch.randn(2, 6)}
    with torch.inference_mode():
        ours, theirs = (
            each(x, torch.tensor([400.0, 50.0]), tokens, hint, added_cond_kwargs=told, return_dict=False)
            for each in (net, whole[XL])
        )
    for one, other in zip([*ours[0], ours[1]], [*theirs[0], theirs[1]], strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_most_weights_are_kept_once(
    bench: Bench, tiny: Mapping[str, Tiny], whole: Mapping[str, Any], folder: Path
) -> None:
    net = load_control(lora_of(folder, SD), tiny[SD].unet, bench.models.device)
    lent = [module for module in net.modules() if isinstance(module, Lent)]
    assert len(lent) > 80
    own = sum(each.numel() for each in (*net.parameters(), *net.buffers()))
    of_file = sum(each.numel() for each in load_file(lora_of(folder, SD).path).values())
    assert own == of_file
    assert own < 0.6 * sum(each.numel() for each in whole[SD].parameters())


def test_loras_in_the_model_count(
    bench: Bench, tiny: Mapping[str, Tiny], files: Mapping[str, ModelFile], whole: Mapping[str, Any], folder: Path
) -> None:
    torch.manual_seed(5)
    unet, changed = tiny[SD].unet, dict(whole[SD].state_dict())
    tensors: dict[str, torch.Tensor] = {}
    for module in (TIME, QUERIES):
        layer: Any = unet.get_submodule(module)
        outs, ins = layer.weight.shape
        up, down = torch.randn(outs, 2), torch.randn(2, ins) * 0.3
        changed[f"{module}.weight"] = changed[f"{module}.weight"] + up @ down
        name = f"lora_unet_{module.replace('.', '_')}"
        tensors |= {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}
    save_file(tensors, folder / "style.safetensors")
    save_file({name: value.contiguous() for name, value in changed.items()}, folder / "changed.safetensors")
    loras = (LoraUse(file=file_of(folder / "style.safetensors"), weight=1.0, text_weight=1.0),)

    def made(net: Path, **more: Any) -> torch.Tensor:
        found: torch.Tensor = bench.picture(files[SD], 3, **controlled(file_of(net), controlnetstrength=0.6), **more)
        return found

    lora = lora_of(folder, SD).path
    before = made(lora)
    with_it = made(lora, loras=loras)
    assert (with_it - made(folder / "changed.safetensors", loras=loras)).abs().max() <= 1.0
    assert (with_it - made(folder / f"whole-{SD}.safetensors", loras=loras)).abs().max() > 2.0
    assert torch.equal(made(lora), before)


@pytest.mark.parametrize("residency", ["balanced", "low"])
def test_wherever_the_models_weights_rest(
    bench: Bench, files: Mapping[str, ModelFile], whole: Mapping[str, Any], folder: Path, residency: str
) -> None:
    values = controlled(lora_of(folder, SD), controlnetstrength=0.6)
    expected = bench.picture(files[SD], 3, **values)
    with torch.inference_mode():
        found = new_bench(residency=residency).picture(files[SD], 3, **values)
    assert (found - expected).abs().max() <= 1.0


def test_beside_a_plain_net(
    bench: Bench, files: Mapping[str, ModelFile], whole: Mapping[str, Any], folder: Path
) -> None:
    net, lora = file_of(folder / f"whole-{SD}.safetensors"), lora_of(folder, SD)

    def two(first: ModelFile, second: ModelFile) -> torch.Tensor:
        values = controlled(first, controlnetstrength=0.3) | {
            "controlnetthreemodel": second.name, "controlnetthreestrength": 0.3, "controlnetthreepreprocessor": "None",
            "files": {"controlnetmodel": first, "controlnetthreemodel": second},
        }  # fmt: skip
        made: torch.Tensor = bench.picture(files[SD], 3, **values)
        return made

    assert (two(lora, net) - two(net, net)).abs().max() <= 1.0


def test_refusals(tiny: Mapping[str, Tiny], whole: Mapping[str, Any], folder: Path) -> None:
    for family, other in ((SD, XL), (XL, SD)):
        with pytest.raises(BadInput, match="is for another kind of model"):
            check_control(lora_of(folder, family), tiny[other].unet)
    tensors = load_file(lora_of(folder, SD).path)
    part = folder / "part.safetensors"

    def refused(**changes: torch.Tensor | None) -> str:
        left = {name: value for name, value in {**tensors, **changes}.items() if value is not None}
        save_file(left, part)
        with pytest.raises(BadInput) as refusal:
            check_control(file_of(part), tiny[SD].unet)
        return refusal.value.sentence

    assert "another kind" in refused(**{"time_embed.0.up": None})
    assert "another kind" in refused(**{"time_embed.0.up": torch.zeros(128, 3)})
    assert "another kind" in refused(**{"time_embed.0.bias": torch.zeros(3)})
    assert "incomplete" in refused(**{"zero_convs.0.0.weight": None})

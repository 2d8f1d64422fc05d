"""LoRAs of transformer models in every naming, and 3.5 Large's ControlNets, draw ComfyUI's pictures."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import Bench
from tests.engine.test_controlnet_flow import SMALL
from tests.parity.models_families import MAKERS, Written, wide_heads
from tests.parity.patch_files import Draw, as_png, guide
from tests.parity.recorded import DETERMINISTIC, expected, largest_difference
from tests.support.tiny import stable_diffusion_3
from tests.support.tiny.controls import original_small, sd3_net

pytestmark = pytest.mark.torch

SETTINGS = {"prompt": "a red fox in the snow", "negativeprompt": "blurry", "steps": 4, "seed": 7, "width": 64}
SETTINGS |= {"cfgscale": 4.0, "sampler": "euler", "scheduler": "simple", "height": 64}
FLUX, SD3, LARGE = "flux dev", "sd3.5 medium", "sd3.5 large"
FUSED = (
    "double_blocks.0.img_attn.qkv",
    "double_blocks.0.txt_mlp.0",
    "single_blocks.1.linear1",
    "single_blocks.0.linear2",
)
JOINT = ("joint_blocks.0.x_block.attn.qkv", "joint_blocks.0.context_block.mlp.fc1", "joint_blocks.0.x_block.attn2.qkv")
LAST = ("final_layer.adaLN_modulation.1", "final_layer.linear")
FLUX_PARTS = {
    "transformer_blocks.0.attn.to_q": ("double_blocks.0.img_attn.qkv", 3),
    "transformer_blocks.0.attn.add_v_proj": ("double_blocks.0.txt_attn.qkv", 3),
    "transformer_blocks.0.ff.net.0.proj": ("double_blocks.0.img_mlp.0", 1),
    "single_transformer_blocks.0.attn.to_k": ("single_blocks.0.linear1", 7),
    "single_transformer_blocks.1.proj_out": ("single_blocks.1.linear2", 1),
    "norm_out.linear": ("final_layer.adaLN_modulation.1", 1),
}
"""Modules by diffusers' names, and as which share of which original one."""
SD3_PARTS = {
    "transformer_blocks.0.attn.to_v": ("joint_blocks.0.x_block.attn.qkv", 3),
    "transformer_blocks.0.attn.add_k_proj": ("joint_blocks.0.context_block.attn.qkv", 3),
    "transformer_blocks.1.ff.net.2": ("joint_blocks.1.x_block.mlp.fc2", 1),
    "norm_out.linear": ("final_layer.adaLN_modulation.1", 1),
}
CASES: dict[str, tuple[str, str]] = {
    "flux original": (FLUX, "original"),
    "flux diffusers": (FLUX, "diffusers"),
    "flux other kinds": (FLUX, "other kinds"),
    "sd3 original": (SD3, "original"),
    "sd3 diffusers": (SD3, "diffusers"),
}


@cache
def recorded() -> Mapping[str, Any]:
    return expected("patches_families")


def shapes(model: Path) -> dict[str, tuple[int, ...]]:
    """Of a model's weights, by their original names without what all begin with."""
    with safe_open(str(model), framework="pt") as file:
        names = {name.removeprefix("model.diffusion_model."): name for name in file.keys()}  # noqa: SIM118
        return {short: tuple(file.get_slice(name).get_shape()) for short, name in names.items()}


def write_lora(folder: Path, model: Path, case: str) -> Path:
    family, kind = CASES[case]
    draw, known = Draw(len(case)), shapes(model)
    tensors: dict[str, torch.Tensor] = {}
    if kind == "diffusers":
        for name, (whole, share) in (FLUX_PARTS if family == FLUX else SD3_PARTS).items():
            out, into = known[f"{whole}.weight"]
            tensors[f"transformer.{name}.lora_A.weight"] = draw(4, into, loud=0.2)
            tensors[f"transformer.{name}.lora_B.weight"] = draw(out // share, 4, loud=0.2)
    elif kind == "original":
        for name in (*(FUSED if family == FLUX else JOINT), *LAST):
            out, into = known[f"{name}.weight"]
            home = "lora_unet_" + name.replace(".", "_")
            tensors[f"{home}.lora_down.weight"] = draw(4, into, loud=0.2)
            tensors[f"{home}.lora_up.weight"] = draw(out, 4, loud=0.2)
            tensors[f"{home}.alpha"] = torch.tensor(3.0)
    else:
        tensors |= _other_kinds(draw, known)
    path = folder / f"{case}.safetensors"
    save_file(tensors, path)
    return path


def _other_kinds(draw: Draw, known: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    first, second, third = "double_blocks.0.img_attn.qkv", "double_blocks.0.txt_attn.qkv", "single_blocks.0.linear1"
    (out, into), (wide, deep) = known[f"{first}.weight"], known[f"{third}.weight"]
    found = {f"diffusion_model.{first}.hada_w{n}_a": draw(out, 2) for n in (1, 2)}
    found |= {f"diffusion_model.{first}.hada_w{n}_b": draw(2, into, loud=0.4) for n in (1, 2)}
    found |= {f"diffusion_model.{second}.lora_down.weight": draw(4, into, loud=0.2)}
    found |= {f"diffusion_model.{second}.lora_up.weight": draw(out, 4, loud=0.2)}
    found |= {f"diffusion_model.{second}.dora_scale": draw(1, into).abs() + 0.5}
    found |= {f"diffusion_model.{third}.lokr_w1": draw(2, 2), f"diffusion_model.{third}.alpha": torch.tensor(1.0)}
    found |= {f"diffusion_model.{third}.lokr_w2": draw(wide // 2, deep // 2, loud=0.1)}
    name = "double_blocks.0.img_mod.lin"
    return found | {f"diffusion_model.{name}.diff_b": draw(known[f"{name}.weight"][0], loud=0.2)}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Written]:
    folder = tmp_path_factory.mktemp("families")
    return {name: MAKERS[name](folder) for name in (FLUX, SD3, LARGE)}


@pytest.mark.parametrize("case", CASES)
def test_a_lora_draws_comfyuis_picture(bench: Bench, written: Mapping[str, Written], tmp_path: Path, case: str) -> None:
    values = dict(SETTINGS)
    family, seed = CASES[case][0], values.pop("seed")
    model = written[family]
    path = write_lora(tmp_path, model.file.path, case)
    lora = LoraUse(file=ModelFile(name=case, path=path, family=None, stamp="1"), weight=0.8, text_weight=0.0)
    found = bench.picture(model.file, int(str(seed)), parts=dict(model.parts), loras=(lora,), **values)
    wanted = recorded()[case]
    assert largest_difference(wanted, recorded()[family]) > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC


def write_control(folder: Path, kind: int) -> Path:
    """A ControlNet of Stable Diffusion 3.5 Large as they are published: 0 blur, 1 canny, 2 depth."""
    with wide_heads():
        family = stable_diffusion_3._family("stable-diffusion-v3.5-large", normed=True, dual=False)
        tensors = original_small(sd3_net(family, **SMALL, force_zeros_for_pooled_projection=False))
    path = folder / f"sd3.5 control {kind}.safetensors"
    tensors["control_type"] = torch.tensor(float(kind))
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_small_controlnets_draw_comfyuis_picture(
    bench: Bench, written: Mapping[str, Written], tmp_path: Path, kind: int
) -> None:
    values = {**SETTINGS, "controlnetstrength": 0.7, "controlnetmodel": "a", "controlnetpreprocessor": "None"}
    seed = int(str(values.pop("seed")))
    model = written[LARGE]
    file = ModelFile(name="a", path=write_control(tmp_path, kind), family=None, stamp=str(kind))
    found = bench.picture(
        model.file,
        seed,
        parts=dict(model.parts),
        files={"controlnetmodel": file},
        controlnetimageinput=as_png(guide()),
        **values,
    )
    wanted = recorded()[f"sd3.5 control {kind}"]
    assert largest_difference(wanted, recorded()[LARGE]) > 10
    assert largest_difference(found, wanted) <= DETERMINISTIC

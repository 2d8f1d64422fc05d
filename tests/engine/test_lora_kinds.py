"""Kinds of LoRA beyond the plain one: fused layers of transformers, DoRA, core tensors; each against its definition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from swarm.engine.components import Components
from swarm.engine.device import choose_device
from swarm.engine.loras.lora import Patched
from swarm.engine.loras.lora_files import read_lora
from swarm.engine.loras.lora_kinds import changed, cut, delta, magnified
from swarm.engine.start import families
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.flow_oracle import model
from tests.support.tiny.family import TinyFamily
from tests.support.tiny.flux import DEV, WIDTH
from tests.support.tiny.stable_diffusion_3 import MEDIUM_35

pytestmark = pytest.mark.torch
Tensors = dict[str, torch.Tensor]


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def put(family: TinyFamily, folder: Path, tensors: Tensors, weight: float = 1.0) -> Components:
    """A loaded model with the LoRA in it."""
    save_file(tensors, folder / "lora.safetensors")
    file = model(family, family.make(folder, layout="single"))
    components = families().load(file, choose_device(0, "auto"), {})
    lora = ModelFile(name="lora", path=folder / "lora.safetensors", family=None, stamp="1")
    Patched(components).put([LoraUse(file=lora, weight=weight, text_weight=weight)], ())
    return components


def expected(family: TinyFamily, changes: Tensors) -> Tensors:
    """The denoiser's weights, by diffusers' converter, with changes of its original tensors."""
    assert family.convert is not None
    tensors = {name: tensor.float() for name, tensor in family.original().items()}
    return family.convert({name: value + changes.get(name, 0.0) for name, value in tensors.items()})


def differing(components: Components, wanted: Tensors) -> list[str]:
    weights: Any = components.denoiser.state_dict()
    return [name for name, value in wanted.items() if (weights[name] - value).abs().max() > 1e-4]


FUSED = {"double_blocks.0.img_attn.qkv": (3 * WIDTH, WIDTH), "single_blocks.1.linear1": (7 * WIDTH, WIDTH)}


@pytest.mark.parametrize("spelling", ["kohya", "dotted"])
def test_fused_layers_are_cut(tmp_path: Path, spelling: str) -> None:
    tensors: Tensors = {}
    changes: Tensors = {}
    for number, (name, (out, into)) in enumerate(FUSED.items()):
        down, up = drawn(2, into, seed=number), drawn(out, 2, seed=9 + number)
        home = "lora_unet_" + name.replace(".", "_") if spelling == "kohya" else f"diffusion_model.{name}"
        tensors |= {f"{home}.lora_down.weight": down, f"{home}.lora_up.weight": up, f"{home}.alpha": torch.tensor(1.0)}
        changes[f"{name}.weight"] = up @ down * 0.5 * 0.7
    components = put(DEV, tmp_path, tensors, 0.7)
    assert differing(components, expected(DEV, changes)) == []
    assert len(differing(components, expected(DEV, {}))) == 3 + 4


def test_the_names_of_xlabs_and_of_diffusers(tmp_path: Path) -> None:
    down, up = drawn(2, WIDTH), drawn(3 * WIDTH, 2, seed=1)
    block = "double_blocks.0.processor.qkv_lora2"
    components = put(DEV, tmp_path, {f"{block}.down.weight": down, f"{block}.up.weight": up})
    wanted = expected(DEV, {"double_blocks.0.txt_attn.qkv.weight": up @ down})
    assert differing(components, wanted) == []
    home = "transformer.transformer_blocks.0.attn."
    parts = zip(("add_q_proj", "add_k_proj", "add_v_proj"), up.chunk(3), strict=True)
    tensors = {f"{home}{name}.lora_A.weight": down.clone() for name in ("add_q_proj", "add_k_proj", "add_v_proj")}
    tensors |= {f"{home}{name}.lora_B.weight": piece.contiguous() for name, piece in parts}
    assert differing(put(DEV, tmp_path, tensors), wanted) == []


def test_stable_diffusion_3_has_two_attentions(tmp_path: Path) -> None:
    name = "joint_blocks.0.x_block.attn2.qkv"
    shape = tuple(MEDIUM_35.original()[f"{name}.weight"].shape)
    down, up = drawn(2, shape[1]), drawn(shape[0], 2, seed=1)
    home = "lora_unet_" + name.replace(".", "_")
    components = put(MEDIUM_35, tmp_path, {f"{home}.lora_down.weight": down, f"{home}.lora_up.weight": up})
    assert differing(components, expected(MEDIUM_35, {f"{name}.weight": up @ down})) == []


def test_dora_keeps_the_lengths_it_was_trained_to() -> None:
    weight, change, lengths = drawn(6, 4), drawn(6, 4, seed=1), drawn(1, 4, seed=2).abs()
    made = magnified(weight, change, lengths)
    assert torch.allclose(made.norm(dim=0), lengths.flatten(), atol=1e-5)
    normalize = torch.nn.functional.normalize
    assert torch.allclose(normalize(made, dim=0), normalize(weight + change, dim=0), atol=1e-5)


def test_dora_by_rows_measures_by_the_weight_as_it_was() -> None:
    weight, change, lengths = drawn(6, 4), drawn(6, 4, seed=1), drawn(6, 1, seed=2).abs()
    wanted = (weight + change) * lengths / weight.norm(dim=1, keepdim=True)
    assert torch.allclose(magnified(weight, change, lengths), wanted, atol=1e-5)
    assert torch.equal(magnified(weight, change, lengths.flatten()), magnified(weight, change, lengths))


@pytest.mark.parametrize("shape", [(3 * WIDTH, 1), (1, WIDTH)])
def test_dora_in_a_fused_layer(tmp_path: Path, shape: tuple[int, int]) -> None:
    name = "double_blocks.0.img_attn.qkv"
    down, up, lengths = drawn(2, WIDTH), drawn(3 * WIDTH, 2, seed=1), drawn(*shape, seed=2).abs()
    home = "lora_unet_" + name.replace(".", "_")
    tensors = {f"{home}.lora_down.weight": down, f"{home}.lora_up.weight": up, f"{home}.dora_scale": lengths}
    before = DEV.original()[f"{name}.weight"].float()
    after = before + 0.5 * (magnified(before, up @ down, lengths) - before)
    wanted = expected(DEV, {f"{name}.weight": after - before})
    assert differing(put(DEV, tmp_path, tensors, 0.5), wanted) == []


def test_rotations_of_a_fused_layer_and_changes_of_its_bias(tmp_path: Path) -> None:
    name, home = "double_blocks.0.img_attn.qkv", "lora_unet_double_blocks_0_img_attn_qkv"
    blocks, bias = drawn(WIDTH // 4, 12, 12) * 0.1, drawn(3 * WIDTH, seed=1)
    before = DEV.original()[f"{name}.weight"].float()
    after = changed(before, {"oft": blocks}, 1.0)
    assert torch.allclose(after.norm(dim=0), before.norm(dim=0), atol=1e-4)
    wanted = expected(DEV, {f"{name}.weight": after - before, f"{name}.bias": bias})
    assert differing(put(DEV, tmp_path, {f"{home}.oft_blocks": blocks, f"{home}.diff_b": bias}), wanted) == []


def test_a_convolution_with_a_middle() -> None:
    up, mid, down = drawn(6, 2, 1, 1), drawn(2, 2, 3, 3, seed=1), drawn(2, 4, 1, 1, seed=2)
    x = drawn(1, 4, 5, 5, seed=3)
    conv = torch.nn.functional.conv2d
    whole = delta({"up": up, "mid": mid, "down": down}, torch.device("cpu")).reshape(6, 4, 3, 3)
    assert torch.allclose(conv(x, whole), conv(conv(conv(x, down), mid), up), atol=1e-4)


def test_hadamard_and_kronecker_products_with_cores() -> None:
    cpu = torch.device("cpu")
    core, left, right = drawn(2, 2, 3, 3), drawn(2, 6, seed=1), drawn(2, 4, seed=2)
    part = torch.einsum("rskl,ro,si->oikl", core, left, right)
    hada = {f"hada_w{n}_{side}": piece for n in (1, 2) for side, piece in (("a", left), ("b", right))}
    made = delta({**hada, "hada_t1": core, "hada_t2": core}, cpu)
    assert torch.allclose(made.reshape(6, 4, 3, 3), part * part, atol=1e-4)
    small = drawn(3, 2, seed=4)
    kron = delta({"lokr_w1": small, "lokr_w2_a": left, "lokr_w2_b": right, "lokr_t2": core}, cpu)
    assert torch.allclose(kron.reshape(18, 8, 3, 3)[6:12, 4:8], small[1, 1] * part, atol=1e-4)


def test_cutting_keeps_the_order() -> None:
    pieces = {"up": drawn(6, 2), "down": drawn(2, 4, seed=1)}
    parts = [delta(piece, torch.device("cpu")) for piece in cut(pieces, [1, 2, 3])]
    assert torch.equal(torch.cat(parts), delta(pieces, torch.device("cpu")))


def test_every_part_of_a_file_is_read(tmp_path: Path) -> None:
    names = ("lora_mid.weight", "dora_scale", "hada_t1", "lokr_t2", "lora_up.weight")
    save_file({f"lora_unet_mid_block_x.{name}": torch.ones(1) for name in names}, tmp_path / "all.safetensors")
    assert set(read_lora(tmp_path / "all.safetensors")["unet_mid_block_x"]) == {
        "mid",
        "dora",
        "hada_t1",
        "lokr_t2",
        "up",
    }

"""LoRAs: in by every spelling, with the strength asked for, and out again to the last bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swarm.engine.adapters.unet import lora_keys
from swarm.engine.loras.lora_files import read_lora
from swarm.engine.loras.lora_kinds import delta
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import SD, XL, Bench
from tests.support.tiny_models import Tiny

pytestmark = pytest.mark.torch
ATTENTION = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
TEXT = "text_model.encoder.layers.0.self_attn.q_proj"


def lora(path: Path, names: tuple[str, ...], shapes: tuple[tuple[int, int], ...], ends: tuple[str, str]) -> ModelFile:
    """A LoRA of rank 2 with alpha 1 over modules of (out, in) shapes, in the spelling of `names` and `ends`."""
    generator = torch.Generator().manual_seed(1)
    tensors = {}
    for name, (out, into) in zip(names, shapes, strict=True):
        tensors[name + ends[0]] = torch.randn(2, into, generator=generator)
        tensors[name + ends[1]] = torch.randn(out, 2, generator=generator)
        tensors[name + ".alpha"] = torch.tensor(1.0)
    save_file(tensors, path)
    return ModelFile(name=path.name, path=path, family=None, stamp="1")


KOHYA = (".lora_down.weight", ".lora_up.weight")
PEFT = (".lora_A.weight", ".lora_B.weight")


@pytest.fixture
def kohya(path: Path) -> ModelFile:
    names = ("lora_unet_" + ATTENTION.replace(".", "_"), "lora_te_" + TEXT.replace(".", "_"))
    return lora(path / "kohya.safetensors", names, ((32, 32), (32, 32)), KOHYA)


def use(file: ModelFile, weight: float = 1.0, text: float = 1.0) -> LoraUse:
    return LoraUse(file=file, weight=weight, text_weight=text)


def test_a_lora_acts_and_leaves_no_trace(bench: Bench, files: Mapping[str, ModelFile], kohya: ModelFile) -> None:
    plain = bench.picture(files[SD], 2)
    strong = bench.picture(files[SD], 2, loras=(use(kohya),))
    weak = bench.picture(files[SD], 2, loras=(use(kohya, 0.3, 0.0),))
    assert (strong - plain).abs().max() > 1.0
    assert (weak - strong).abs().max() > 1.0
    assert torch.equal(bench.picture(files[SD], 2), plain)
    assert torch.equal(bench.picture(files[SD], 2, loras=(use(kohya),)), strong)
    assert torch.equal(bench.picture(files[SD], 2, loras=(use(kohya, 0.0, 0.0),)), plain)


def test_pictures_with_and_without_run_side_by_side(
    bench: Bench, files: Mapping[str, ModelFile], kohya: ModelFile
) -> None:
    plain, changed = bench.picture(files[SD], 2), bench.picture(files[SD], 2, loras=(use(kohya),))
    ids = [bench.submit(files[SD], (2,)), bench.submit(files[SD], (2,), loras=(use(kohya),))]
    bench.finish()
    assert (bench.pixels(ids[0]) - plain).abs().max() <= 1.0
    assert (bench.pixels(ids[1]) - changed).abs().max() <= 1.0


def test_every_spelling_means_the_same_weights(path: Path, kohya: ModelFile) -> None:
    original = "lora_unet_" + ATTENTION.replace(".", "_")
    spellings = [
        (("unet." + ATTENTION, "text_encoder." + TEXT), PEFT),
        ((original, "lora_te1_" + TEXT.replace(".", "_")), KOHYA),
    ]
    expected = read_lora(kohya.path)
    for number, (names, ends) in enumerate(spellings):
        file = lora(path / f"{number}.safetensors", names, ((32, 32), (32, 32)), ends)
        found = read_lora(file.path)
        assert found.keys() == expected.keys()
        for name, pieces in found.items():
            torch.testing.assert_close(delta(pieces, torch.device("cpu")), delta(expected[name], torch.device("cpu")))


def test_names_of_the_original_layout_reach_every_kind_of_block(tiny: Mapping[str, Tiny]) -> None:
    names = {
        "input_blocks_3_0_op": "down_blocks_0_downsamplers_0_conv",
        "input_blocks_4_0_in_layers_2": "down_blocks_1_resnets_0_conv1",
        "middle_block_1_proj_in": "mid_block_attentions_0_proj_in",
        "middle_block_2_emb_layers_1": "mid_block_resnets_1_time_emb_proj",
        "output_blocks_2_1_conv": "up_blocks_0_upsamplers_0_conv",
    }
    for original, own in names.items():
        assert lora_keys(original, tiny[SD].unet) == (own,)
    modules = {name.replace(".", "_") for name, _ in tiny[SD].unet.named_modules()}
    assert set(names.values()) <= modules


def test_hadamard_and_kronecker_products() -> None:
    pieces = {name: torch.randn(4, 2) for name in ("hada_w1_a", "hada_w2_a")}
    pieces |= {name: torch.randn(2, 6) for name in ("hada_w1_b", "hada_w2_b")} | {"alpha": torch.tensor(4.0)}
    expected = (pieces["hada_w1_a"] @ pieces["hada_w1_b"]) * (pieces["hada_w2_a"] @ pieces["hada_w2_b"]) * 2.0
    torch.testing.assert_close(delta(pieces, torch.device("cpu")), expected)
    factors = {"lokr_w1": torch.randn(2, 2), "lokr_w2_a": torch.randn(3, 1), "lokr_w2_b": torch.randn(1, 4)}
    whole = torch.kron(factors["lokr_w1"], factors["lokr_w2_a"] @ factors["lokr_w2_b"])
    torch.testing.assert_close(delta(factors, torch.device("cpu")), whole)


@pytest.mark.parametrize("shape", [(32, 32), (8, 8)])
def test_a_lora_for_another_model_is_refused_and_leaves_no_trace(
    bench: Bench, files: Mapping[str, ModelFile], path: Path, shape: tuple[int, int]
) -> None:
    name = "lora_unet_" + (ATTENTION if shape == (8, 8) else "no.such.block").replace(".", "_")
    file = lora(path / "other.safetensors", (name,), (shape,), KOHYA)
    plain = bench.picture(files[SD], 2)
    id = bench.submit(files[SD], loras=(use(file),))
    bench.finish()
    assert bench.failure(id).kind == "bad_input"
    assert "other.safetensors" in bench.failure(id).sentence
    assert torch.equal(bench.picture(files[SD], 2), plain)


def test_xl_text_encoders_are_told_apart(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    names = tuple(f"lora_te{number}_{TEXT.replace('.', '_')}" for number in (1, 2))
    file = lora(path / "xl.safetensors", names, ((32, 32), (64, 64)), KOHYA)
    plain = bench.picture(files[XL], 2)
    assert not torch.equal(bench.picture(files[XL], 2, loras=(use(file, text=3.0),)), plain)
    assert torch.equal(bench.picture(files[XL], 2), plain)

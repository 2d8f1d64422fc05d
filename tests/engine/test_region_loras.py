"""LoRAs that a region's words bring act there, as they would in the weights, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from swarm.base.errors import BadInput
from swarm.jobs.job import LoraUse, ModelFile
from tests.engine.conftest import SD, Bench

pytestmark = pytest.mark.torch
CONV = "lora_unet_down_blocks_0_resnets_0_conv1"
KEYS = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
QUERIES = "lora_te_text_model_encoder_layers_0_self_attn_q_proj"
WHOLE = "<region:0,0,1,1//cid=11>"


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def lora(path: Path) -> LoraUse:
    """Over a convolution (plain), keys (LoHa) and the text encoder."""
    tensors = {
        f"{CONV}.lora_down.weight": drawn(2, 32, 3, 3, seed=1) * 0.3,
        f"{CONV}.lora_up.weight": drawn(32, 2, 1, 1, seed=2),
        f"{CONV}.alpha": torch.tensor(1.0),
        **{f"{KEYS}.hada_w{n}_a": drawn(32, 2, seed=3 + n) for n in (1, 2)},
        **{f"{KEYS}.hada_w{n}_b": drawn(2, 32, seed=5 + n) for n in (1, 2)},
        f"{QUERIES}.lora_down.weight": drawn(2, 32, seed=8),
        f"{QUERIES}.lora_up.weight": drawn(32, 2, seed=9),
    }
    save_file(tensors, path / "region.safetensors")
    file = ModelFile(name="region", path=path / "region.safetensors", family=None, stamp="1")
    return LoraUse(file=file, weight=0.8, text_weight=0.6)


def test_in_a_region_of_everything_it_is_the_lora_in_the_weights(
    bench: Bench, files: Mapping[str, ModelFile], lora: LoraUse
) -> None:
    """At CFG 1 no negative prompt is heard, on which a LoRA in the weights would act too."""
    plain = bench.picture(files[SD], 3, prompt="a house", cfgscale=1.0)
    merged = bench.picture(files[SD], 3, prompt="a house", cfgscale=1.0, loras=(lora,))
    confined = bench.picture(
        files[SD], 3, prompt=f"a boat {WHOLE}a house", cfgscale=1.0, globalregionfactor=0.0,
        loras=(replace(lora, section=11),),
    )  # fmt: skip
    assert (merged - plain).abs().max() > 3.0
    assert (confined - merged).abs().max() <= 1.0
    background = bench.picture(
        files[SD], 3, prompt="a boat <region:0,0,0,0//cid=12>x<region:background//cid=11>a house", cfgscale=1.0,
        globalregionfactor=0.0, loras=(replace(lora, section=11),),
    )  # fmt: skip
    assert (background - merged).abs().max() <= 1.0


def test_it_acts_mostly_in_its_region_and_not_on_others(
    bench: Bench, files: Mapping[str, ModelFile], lora: LoraUse
) -> None:
    values = {"prompt": "a boat <region:0.5,0,0.5,1//cid=11> snow", "width": 128, "globalregionfactor": 0.0}
    plain, alone = bench.picture(files[SD], 3, **values), bench.picture(files[SD], 4, prompt="a fox", width=128)
    ids = [bench.submit(files[SD], (3,), **values, loras=(replace(lora, section=11),))]
    ids.append(bench.submit(files[SD], (4,), prompt="a fox", width=128))
    bench.finish()
    change = (bench.pixels(ids[0]) - plain).abs()
    assert change[:, 64:].mean() > 1.5 * change[:, :64].mean()
    assert (bench.pixels(ids[1]) - alone).abs().max() <= 1.0
    assert torch.equal(bench.picture(files[SD], 3, **values), plain)


def test_one_that_does_not_fit_is_refused(bench: Bench, files: Mapping[str, ModelFile], path: Path) -> None:
    save_file({"lora_unet_nowhere.lora_down.weight": torch.zeros(1, 2)}, path / "odd.safetensors")
    file = ModelFile(name="odd", path=path / "odd.safetensors", family=None, stamp="1")
    use = LoraUse(file=file, weight=1.0, text_weight=1.0, section=11)
    with pytest.raises((BadInput, AssertionError), match="does not fit"):
        bench.picture(files[SD], 3, prompt=f"a boat {WHOLE}a house", loras=(use,))

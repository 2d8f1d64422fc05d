"""Language models as text encoders: llama.cpp's names, 8-bit floats with scales, other prefixes, refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType
from safetensors.torch import save_file

from swarm.architectures.families.flux_2 import FLUX_2_DEV
from swarm.base.errors import BadInput
from swarm.engine.components import Source
from swarm.engine.device import choose_device
from swarm.engine.loader import refuse_gaps
from swarm.engine.words.language_models import MISTRAL, QWEN_2_5_VL, QWEN_3, Kind, language_model, shortened
from swarm.jobs.job import ModelFile
from tests.engine.test_checkpoint import gguf_file, scaled
from tests.support.tiny import encoders
from tests.support.tiny.weights import Tensors

pytestmark = pytest.mark.torch
_PARTS = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}  # fmt: skip
KINDS: list[tuple[Kind, Callable[[], Any]]] = [
    (QWEN_3, encoders.qwen3),
    (QWEN_2_5_VL, encoders.qwen2_5_vl),
    (MISTRAL, encoders.mistral),
]
IDS = [kind.slot for kind, _ in KINDS]


def read(path: Path, kind: Kind, *, layers: int | None = None, slot: str = "") -> Any:
    part = ModelFile(name=path.name, path=path, family=None, stamp="1")
    source = Source(
        file=part,
        device=choose_device(0, "auto"),
        architecture=FLUX_2_DEV,
        checkpoint=None,
        folder=None,
        parts={slot or kind.slot: part},
    )
    found = language_model(source, kind, torch.float32, layers=layers)
    refuse_gaps(path.name, found)
    return found


def inner(model: Any) -> Any:
    """The language half without its head."""
    return getattr(model.model, "language_model", model.model)


def in_llama_cpp_names(kind: Kind, model: Any) -> Tensors:
    found: Tensors = {}
    for name, weight in inner(model).state_dict().items():
        if not name.startswith("layers."):
            found["token_embd.weight" if name.startswith("embed") else "output_norm.weight"] = weight
            continue
        _, number, rest = name.split(".", 2)
        part, _, leaf = rest.rpartition(".")
        if kind is MISTRAL and part in ("self_attn.q_proj", "self_attn.k_proj"):
            config = inner(model).config
            heads = config.num_attention_heads if part.endswith("q_proj") else config.num_key_value_heads
            weight = weight.view(heads, 2, -1, weight.shape[1]).transpose(1, 2).reshape(weight.shape)
        found[f"blk.{number}.{_PARTS[part]}.{leaf}"] = weight
    return found


def same(found: Any, model: Any) -> None:
    wanted = inner(model).state_dict()
    for name, weight in found.state_dict().items():
        assert torch.equal(weight, wanted[name]), name


@pytest.mark.parametrize(("kind", "make"), KINDS, ids=IDS)
def test_llama_cpps_names_are_read(tmp_path: Path, kind: Kind, make: Callable[[], Any]) -> None:
    model = make()
    path = gguf_file(tmp_path / "words.gguf", in_llama_cpp_names(kind, model), GGMLQuantizationType.F32)
    same(read(path, kind), model)


@pytest.mark.parametrize("prefix", ["model.", "", "model.language_model."])
@pytest.mark.parametrize(("kind", "make"), KINDS, ids=IDS)
def test_every_prefix_is_known_and_prompts_mean_the_same(
    tmp_path: Path, kind: Kind, make: Callable[[], Any], prefix: str
) -> None:
    model = make()
    weights = inner(model).state_dict()
    save_file({prefix + name: weight.clone() for name, weight in weights.items()}, tmp_path / "words.safetensors")
    found = read(tmp_path / "words.safetensors", kind)
    same(found, model)
    ids = torch.tensor([[5, 900, 77, 4]])
    assert torch.allclose(
        found(input_ids=ids).last_hidden_state, inner(model)(input_ids=ids).last_hidden_state, atol=1e-5
    )


def test_eight_bit_floats_get_their_scale(tmp_path: Path) -> None:
    model = encoders.qwen3()
    tensors = scaled({f"model.{name}": weight for name, weight in inner(model).state_dict().items()}, ".weight_scale")
    save_file(tensors, tmp_path / "words.safetensors")
    found, wanted = read(tmp_path / "words.safetensors", QWEN_3).state_dict(), inner(model).state_dict()
    for name, weight in found.items():
        assert (weight - wanted[name]).abs().max() <= wanted[name].abs().max() / 14, name


def test_inner_states_need_the_first_layers_only(tmp_path: Path) -> None:
    model = encoders.mistral()
    path = encoders.mistral_file(tmp_path / "words.safetensors", model)
    ids = torch.tensor([[5, 900, 77, 4]])
    wanted = inner(model)(input_ids=ids, output_hidden_states=True).hidden_states
    for found in (read(path, MISTRAL, layers=30), shortened(inner(encoders.mistral()), 30)):
        states = found(input_ids=ids, output_hidden_states=True).hidden_states
        assert len(found.layers) == 30
        for layer in (10, 20, 30):
            assert torch.allclose(states[layer], wanted[layer], atol=1e-5)
    with pytest.raises(BadInput, match="too few layers"):
        read(path, MISTRAL, layers=40)


def test_a_request_names_either_kind_of_qwen(tmp_path: Path) -> None:
    model = encoders.qwen3()
    same(read(encoders.language_file(tmp_path / "words.safetensors", model), QWEN_3, slot="qwen"), model)


@pytest.mark.parametrize("wanted", [QWEN_2_5_VL, MISTRAL], ids=["qwen2.5vl", "mistral"])
def test_another_kind_is_refused(tmp_path: Path, wanted: Kind) -> None:
    path = encoders.language_file(tmp_path / "words.safetensors", encoders.qwen3())
    with pytest.raises(BadInput, match=rf"is no {wanted.what}, which this model needs"):
        read(path, wanted)


def test_what_holds_no_language_model_is_refused(tmp_path: Path) -> None:
    path = encoders.t5_file(tmp_path / "t5.safetensors", encoders.t5())
    with pytest.raises(BadInput, match="holds no mistral text encoder"):
        read(path, MISTRAL)

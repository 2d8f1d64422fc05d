"""Language models that read prompts: Qwen 3, Qwen 2.5 VL's language half, Mistral; in files of their own, inside
checkpoints, as GGUF (llama.cpp's names). What shapes do not tell (rotary base, norms) is the published models'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import MistralConfig, MistralModel, Qwen2_5_VLTextConfig, Qwen2_5_VLTextModel, Qwen3Config, Qwen3Model

from swarm.base.errors import BadInput
from swarm.engine.components import Source
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Config, fill
from swarm.engine.words.encoders import Found, find_encoder

ALONE = ("model.", "", "model.language_model.", "language_model.model.", "transformer.model.", "text_encoder.model.")
"""Where files of their own keep a language model's layers."""
_MARKERS = ("layers.0.self_attn.q_proj.weight", "blk.0.attn_q.weight")
_TABLES = ("embed_tokens.weight", "token_embd.weight")
_GGUF = (
    ("attn_q_norm.", "self_attn.q_norm."), ("attn_k_norm.", "self_attn.k_norm."), ("attn_q.", "self_attn.q_proj."),
    ("attn_k.", "self_attn.k_proj."), ("attn_v.", "self_attn.v_proj."), ("attn_output.", "self_attn.o_proj."),
    ("attn_norm.", "input_layernorm."), ("ffn_norm.", "post_attention_layernorm."), ("ffn_gate.", "mlp.gate_proj."),
    ("ffn_up.", "mlp.up_proj."), ("ffn_down.", "mlp.down_proj."),
)  # fmt: skip
"""llama.cpp's names of the parts of a layer."""
_HEAD = 128
_TURNED = re.compile(r"blk\.\d+\.attn_[qk]\.weight")


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of language model. `slot`: of its files; `named`: of one that a request names. `inside`: where
    checkpoints keep it. `turned`: llama.cpp stores its query and key weights with the halves of each head interleaved.
    `three_axes`: its words have places on three axes, for pictures among them."""

    slot: str
    what: str
    model: Any
    config: Any
    theta: float
    eps: float
    named: str = ""
    inside: tuple[str, ...] = ()
    turned: bool = False
    three_axes: bool = False


QWEN_3 = Kind(
    slot="qwen3",
    what="Qwen 3",
    model=Qwen3Model,
    config=Qwen3Config,
    theta=1e6,
    eps=1e-6,
    named="qwen",
    inside=("text_encoders.qwen3_4b.transformer.model.", "text_encoders.qwen3_8b.transformer.model."),
)
QWEN_2_5_VL = Kind(
    slot="qwen2.5vl",
    what="Qwen 2.5 VL",
    model=Qwen2_5_VLTextModel,
    config=Qwen2_5_VLTextConfig,
    theta=1e6,
    eps=1e-6,
    named="qwen",
    inside=("text_encoders.qwen25_7b.transformer.model.",),
    three_axes=True,
)
MISTRAL = Kind(
    slot="mistral",
    what="Mistral 3",
    model=MistralModel,
    config=MistralConfig,
    theta=1e9,
    eps=1e-5,
    inside=("text_encoders.mistral3_24b.transformer.model.",),
    turned=True,
)


def find_language_model(source: Source, kind: Kind) -> Found | None:
    """Where the language model is; None when no file has it. Raises BadInput for a given file that holds none."""
    prefixes = (*kind.inside, *(home.removesuffix("model.") for home in kind.inside))
    slot = kind.named if kind.named in source.parts else kind.slot
    return find_encoder(source, slot, prefixes, _MARKERS, "text_encoder", ALONE)


def language_model(source: Source, kind: Kind, dtype: torch.dtype, *, layers: int | None = None) -> Any:
    """The language model without its head for writing; None when no file has it.

    `layers`: read so many of its layers only and leave the last norm out, for families that read inner states.
    Raises BadInput for a file of another kind, or with fewer layers.
    """
    found = find_language_model(source, kind)
    if found is None:
        return None
    named = {_plain_name(name): name for name in found.file.below(found.prefix)}
    shapes = {plain: found.file.shapes[found.prefix + name] for plain, name in named.items()}
    config = language_config(shapes, kind, found.file.path.name)
    if (layers or 0) > config["num_hidden_layers"]:
        raise BadInput(f"The text encoder '{found.file.path.name}' has too few layers for this model.")
    config["num_hidden_layers"] = layers or config["num_hidden_layers"]
    with init_empty_weights(include_buffers=False):
        model = kind.model(kind.config(**(config | found.own)))
    if layers is not None:
        model.norm = torch.nn.Identity()
    fill(model, found.file.path.name, _tensors(found, named, model, kind), dtype)
    return model


def shortened(model: Any, layers: int) -> Any:
    """A language model that was read whole, with its first `layers` layers and without the last norm."""
    model.layers = model.layers[:layers]
    model.config.num_hidden_layers = layers
    model.norm = torch.nn.Identity()
    return model


def language_config(shapes: Shapes, kind: Kind, file: str) -> Config:
    """The config entries that names and shapes tell. Raises BadInput for a model of another kind."""
    first = "layers.0.self_attn."
    try:
        vocabulary, width = shapes["embed_tokens.weight"]
        inner = shapes["layers.0.mlp.gate_proj.weight"][0]
        queries, keys = shapes[first + "q_proj.weight"][0], shapes[first + "k_proj.weight"][0]
    except (KeyError, ValueError) as error:
        raise BadInput(f"The text encoder '{file}' lacks the tensor {error}; it is not a complete one.") from None
    normed, biased = first + "q_norm.weight" in shapes, first + "q_proj.bias" in shapes
    if normed != (kind is QWEN_3) or biased != (kind is QWEN_2_5_VL):
        raise BadInput(f"The text encoder '{file}' is no {kind.what}, which this model needs.")
    head = shapes[first + "q_norm.weight"][0] if normed else min(_HEAD, keys)
    rotary: Config = {"rope_type": "default", "rope_theta": kind.theta}
    if kind.three_axes:
        quarter = head // 8
        rotary["mrope_section"] = [quarter, (head // 2 - quarter) // 2, (head // 2 - quarter) // 2]
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": count(shapes, r"layers\.(\d+)\."),
        "num_attention_heads": queries // head,
        "num_key_value_heads": keys // head,
        "rms_norm_eps": kind.eps,
        "rope_parameters": rotary,
        "max_position_embeddings": 32_768,
        "sliding_window": None,
        **({} if kind.three_axes else {"head_dim": head}),
    }


def _tensors(found: Found, named: dict[str, str], model: Any, kind: Kind) -> Iterator[tuple[str, torch.Tensor]]:
    expected = {name for name, _ in model.named_parameters()}
    heads = {"attn_q": model.config.num_attention_heads, "attn_k": model.config.num_key_value_heads}
    for plain, name in named.items():
        if plain not in expected:
            continue
        tensor = found.file.tensor(found.prefix + name)
        if kind.turned and _TURNED.fullmatch(name):
            tensor = unturned(tensor, heads[name.split(".")[2]])
        yield plain, tensor


def unturned(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """A query or key weight of llama.cpp's llama layout with the halves of each head after one another."""
    rows = weight.shape[0] // heads
    return weight.view(heads, rows // 2, 2, -1).transpose(1, 2).reshape(weight.shape)


def _plain_name(name: str) -> str:
    """A tensor's name as transformers' models without a head have it."""
    if name in _TABLES:
        return "embed_tokens.weight"
    if not name.startswith("blk."):
        return "norm.weight" if name == "output_norm.weight" else name
    _, number, part = name.split(".", 2)
    for old, new in _GGUF:
        if part.startswith(old):
            return f"layers.{number}.{new}{part[len(old) :]}"
    return name


def widths_fit(name: str, told: int, wanted: int) -> None:
    """Raises BadInput when a text encoder's states are not as wide as the model wants them."""
    if told != wanted:
        raise BadInput(
            f"The text encoder '{name}' is of another size than this model was trained with ({told}, not {wanted})."
        )

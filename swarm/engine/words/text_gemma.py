"""Gemma 2 as a text encoder: in files of its own, inside checkpoints, as GGUF, in folders. Its vocabulary may not ship
with Swarm, so it comes with the user's own files (own_tokenizer.py)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import Gemma2Config, Gemma2Model

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.base.errors import BadInput
from swarm.engine.components import Source
from swarm.engine.files.shapes import Shapes, count
from swarm.engine.loader import Config, fill
from swarm.engine.words.encoders import find_encoder, from_folder, lacking
from swarm.engine.words.inversions import without_inversions
from swarm.engine.words.own_tokenizer import own_tokenizer, tokenizer_beside
from swarm.engine.words.text_layers import layer_states
from swarm.prompt.weights import weighted_spans

ALONE = ("model.", "", "text_encoder.model.", "transformer.model.")
INSIDE = (
    "text_encoders.gemma2_2b.transformer.model.",
    "text_encoders.gemma2_2b.transformer.",
    "text_encoders.gemma2_2b.",
)
_MARKERS = ("layers.0.pre_feedforward_layernorm.weight", "blk.0.post_ffw_norm.weight")
_HEAD = 256
_PAD, _BEGIN = 0, 2
_LAST_BUT_ONE = -2
_GGUF = {
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm",
    "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm",
    "post_ffw_norm": "post_feedforward_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}  # fmt: skip
"""llama.cpp's names of the parts of a layer. Its norms are factors, Gemma's what is added to 1."""


def gemma(source: Source, dtype: torch.dtype) -> tuple[Any, Any]:
    """(Gemma 2 without its head for writing, its tokenizer). Raises BadInput when either is in none of the files."""
    found = find_encoder(source, "gemma2", INSIDE, _MARKERS, "text_encoder", ALONE)
    if found is not None:
        named = {_plain_name(name): name for name in found.file.below(found.prefix)}
        shapes = {plain: found.file.shapes[found.prefix + name] for plain, name in named.items()}
        config = gemma_config(shapes, found.file.path.name) | found.own
        with init_empty_weights(include_buffers=False):
            model = Gemma2Model(Gemma2Config(**config))
        fill(model, found.file.path.name, _tensors(found.file, found.prefix, named), dtype)
        return model, own_tokenizer(found.file)
    if source.folder is None:
        raise lacking(source, TEXT_ENCODERS["gemma2"])
    tokenizer = tokenizer_beside(source.folder / "tokenizer")
    if tokenizer is None:
        raise BadInput(
            f"The model folder '{source.file.name}' lacks its tokenizer: 'tokenizer.json' or 'tokenizer.model' in its "
            f"folder 'tokenizer'."
        )
    return from_folder(Gemma2Model, source.folder / "text_encoder", dtype), tokenizer


def gemma_config(shapes: Shapes, file: str) -> Config:
    """The config entries that names and shapes tell. Raises BadInput for an incomplete file."""
    try:
        vocabulary, width = shapes["embed_tokens.weight"]
        inner = shapes["layers.0.mlp.gate_proj.weight"][0]
        queries = shapes["layers.0.self_attn.q_proj.weight"][0]
        keys = shapes["layers.0.self_attn.k_proj.weight"][0]
    except (KeyError, ValueError) as error:
        raise BadInput(f"The text encoder '{file}' lacks the tensor {error}; it is not a complete one.") from None
    head = min(_HEAD, keys)
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": inner,
        "num_hidden_layers": count(shapes, r"layers\.(\d+)\."),
        "num_attention_heads": queries // head,
        "num_key_value_heads": keys // head,
        "head_dim": head,
        "query_pre_attn_scalar": head,
    }


def _tensors(file: Any, prefix: str, named: dict[str, str]) -> Iterator[tuple[str, torch.Tensor]]:
    for plain, name in named.items():
        tensor: torch.Tensor = file.tensor(prefix + name)
        yield plain, tensor.float() - 1 if plain != name and plain.endswith("norm.weight") else tensor


def _plain_name(name: str) -> str:
    """A tensor's name as transformers' model has it."""
    if name in ("token_embd.weight", "output_norm.weight"):
        return {"t": "embed_tokens.weight", "o": "norm.weight"}[name[0]]
    if not name.startswith("blk."):
        return name
    _, number, part, leaf = name.split(".", 3)
    return f"layers.{number}.{_GGUF.get(part, part)}.{leaf}"


class GemmaEncoder:
    """Gemma 2 with its tokenizer: the states before the last layer, of prompts of any length up to `longest` tokens.

    `last`: the states after the last layer and its norm instead, where a request does not name another layer.
    Weights per token as with the other encoders: z = empty + (z - empty) * w.
    """

    def __init__(self, model: Any, tokenizer: Any, device: torch.device, *, longest: int, last: bool = False) -> None:
        self.model = model
        self._last = last
        self._tokenizer = tokenizer
        self._device = device
        self._longest = longest

    def encode(self, text: str, before: str = "", layer: int | None = None) -> torch.Tensor:
        """A prompt as (1, length, width), after `before`, which is not looked into for weights. `layer`: the one the
        request wants, -1 is the last."""
        spans = _behind(before, [(span.text, span.weight) for span in weighted_spans(without_inversions(text))])
        numbered = [(id, weight) for part, weight in spans for id in self._ids(part)][: self._longest - 1]
        ids = [_BEGIN, *(id for id, _ in numbered)]
        weights = [1.0, *(weight for _, weight in numbered)]
        rows, seen = [ids], [len(ids)]
        if any(weight != 1.0 for weight in weights):
            rows.append([_BEGIN, *[_PAD] * len(numbered)])
            seen.append(1)
        hidden = self._hidden(rows, seen, layer)
        if len(rows) == 1:
            return hidden
        factors = torch.tensor(weights)[None, :, None].to(hidden)
        return hidden[1:] + (hidden[:1] - hidden[1:]) * factors

    def length(self, text: str) -> int:
        """How many tokens a text is, the mark of the beginning left out."""
        return len(self._ids(text))

    def _hidden(self, rows: Sequence[Sequence[int]], seen: Sequence[int], layer: int | None) -> torch.Tensor:
        places = torch.arange(len(rows[0]), device=self._device)
        own = None if self._last else _LAST_BUT_ONE
        return layer_states(
            self.model,
            own if layer is None else layer,
            input_ids=torch.tensor(rows, device=self._device),
            attention_mask=(places < torch.tensor(seen, device=self._device)[:, None]).long(),
        )

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids


def _behind(before: str, spans: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    """The spans behind a text, which is one text with the first where that has no weight: cutting words apart changes
    their tokens."""
    (text, weight), *others = spans
    return [(before + text, 1.0), *others] if weight == 1.0 else [(before, 1.0), *spans]

"""Pile-T5 as a text encoder: UMT5's layers, LLaMA's vocabulary, which comes with the user's own files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from accelerate import init_empty_weights
from transformers import UMT5Config, UMT5EncoderModel

from swarm.architectures.companions import TEXT_ENCODERS
from swarm.base.errors import BadInput
from swarm.engine.components import Source
from swarm.engine.files.shapes import t5_config
from swarm.engine.loader import fill
from swarm.engine.words.encoders import T5_MARKERS, find_encoder, from_folder, lacking, t5_name
from swarm.engine.words.inversions import without_inversions
from swarm.engine.words.own_tokenizer import own_tokenizer, tokenizer_beside
from swarm.engine.words.text_t5 import t5_states
from swarm.prompt.weights import weighted_spans

INSIDE = ("text_encoders.pile_t5xl.transformer.", "text_encoders.pile_t5xl.")
_END = 2
"""The end mark of LLaMA's vocabulary, where the tokenizer names none."""


def pile(source: Source, dtype: torch.dtype) -> tuple[Any, Any]:
    """(Pile-T5's encoder, its tokenizer). Raises BadInput when either is in none of the files."""
    found = find_encoder(source, "pile_t5", INSIDE, T5_MARKERS, "text_encoder")
    if found is not None:
        shapes = {t5_name(name): shape for name, shape in found.file.below(found.prefix).items()}
        with init_empty_weights(include_buffers=False):
            model = UMT5EncoderModel(UMT5Config(**(t5_config(shapes) | found.own)))
        tensors = ((t5_name(name), tensor) for name, tensor in found.file.tensors_below(found.prefix))
        fill(model, found.file.path.name, tensors, dtype)
        model.tie_weights()
        return model, own_tokenizer(found.file)
    if source.folder is None:
        raise lacking(source, TEXT_ENCODERS["pile_t5"])
    tokenizer = tokenizer_beside(source.folder / "tokenizer")
    if tokenizer is None:
        raise BadInput(
            f"The model folder '{source.file.name}' lacks its tokenizer: 'tokenizer.json' or 'tokenizer.model' in its "
            f"folder 'tokenizer'."
        )
    return from_folder(UMT5EncoderModel, source.folder / "text_encoder", dtype), tokenizer


class PileEncoder:
    """Pile-T5 with its tokenizer. Weights per token as with T5: z = empty + (z - empty) * w, the empty prompt's states
    being zero where it has no tokens."""

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._end: int = _END if tokenizer.eos_token_id is None else tokenizer.eos_token_id
        self._device = device

    def encode(self, text: str, layer: int | None = None) -> torch.Tensor:
        """A prompt as (1, length, width), its end mark included. `layer`: as T5's."""
        spans = weighted_spans(without_inversions(text))
        numbered = [(id, span.weight) for span in spans for id in self._ids(span.text)]
        words = self._hidden([id for id, _ in numbered], layer)
        if all(weight == 1.0 for _, weight in numbered):
            return words
        factors = torch.tensor([*(weight for _, weight in numbered), 1.0])[None, :, None].to(words)
        empty = torch.nn.functional.pad(self._hidden([], layer), (0, 0, 0, len(numbered)))
        return empty + (words - empty) * factors

    def _hidden(self, ids: Sequence[int], layer: int | None) -> torch.Tensor:
        mask = torch.ones(1, len(ids) + 1, dtype=torch.long, device=self._device)
        return t5_states(self.model, torch.tensor([[*ids, self._end]], device=self._device), layer, mask)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids

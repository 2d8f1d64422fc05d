"""Weights of words for pipelines that encode their prompts themselves: by their own tokenizers and encoders.

A tokenizer stands in that reads `(word:1.2)` and notes how much each token counts; the encoder that is given the same
tokens then moves their states away from, or towards, those of the empty prompt, as ComfyUI does:
z = empty + (z - empty) * w. Prompts without weights pass through untouched.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from transformers.utils import ModelOutput

from swarm.prompt.weights import WeightedSpan, weighted_spans

Ids: TypeAlias = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Note:
    """What is known of a row of tokens: how much each counts, and the empty prompt's tokens and mask at its length."""

    weights: tuple[float, ...]
    empty: Ids
    mask: Ids


class Weighed:
    """A tokenizer that reads weights. Everything but calling it is the tokenizer's own."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.notes: dict[Ids, Note] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: Any = None, *more: Any, **named: Any) -> Any:
        rows = [text] if isinstance(text, str) else text
        if not isinstance(rows, list | tuple) or not all(isinstance(row, str) for row in rows):
            return self._tokenizer(text, *more, **named)
        spans = [weighted_spans(row) for row in rows]
        if all(len(row) == 1 for row in spans) and not any(map(_weighs, spans)):
            plain = [row[0].text for row in spans]
            found = self._tokenizer(plain[0] if isinstance(text, str) else plain, *more, **named)
        else:
            pieces = [[span.text for span in row if span.text] or [""] for row in spans]
            told = pieces[0] if isinstance(text, str) else pieces
            found = self._tokenizer(told, *more, is_split_into_words=True, **named)
        self._note(found, spans, named)
        return found

    def _note(self, found: Any, spans: Sequence[Sequence[WeightedSpan]], named: dict[str, Any]) -> None:
        for number, (ids, row) in enumerate(zip(_rows(found["input_ids"]), spans, strict=False)):
            self.notes.pop(ids, None)
            if not _weighs(row):
                continue
            said = [span for span in row if span.text]
            words = found.word_ids(number)
            marks = {"add_special_tokens": named["add_special_tokens"]} if "add_special_tokens" in named else {}
            empty = self._tokenizer("", padding="max_length", max_length=len(ids), truncation=True, **marks)
            self.notes[ids] = Note(
                weights=tuple(1.0 if word is None else said[word].weight for word in words),
                empty=tuple(empty.input_ids),
                mask=tuple(empty.attention_mask),
            )


def _weighs(row: Sequence[WeightedSpan]) -> bool:
    return any(span.weight != 1.0 and span.text for span in row)


def _rows(ids: Any) -> list[Ids]:
    listed = ids.tolist() if isinstance(ids, torch.Tensor) else ids
    return [tuple(row) for row in (listed if listed and isinstance(listed[0], list | tuple) else [listed])]


@contextmanager
def weighing(encoder: Any, tokenizer: Weighed, *, blank: bool) -> Iterator[None]:
    """While it is entered, a text encoder heeds what `tokenizer` noted. `blank`: the pipeline sets the states of what
    is masked to zero, so those of the empty prompt are zero there."""
    own, forward = encoder.__dict__.get("forward"), encoder.forward

    def weighed(*given: Any, **named: Any) -> Any:
        found = forward(*given, **named)
        ids = named["input_ids"] if "input_ids" in named else next(iter(given), None)
        notes = [tokenizer.notes.get(row) for row in _rows(ids)] if isinstance(ids, torch.Tensor) else []
        if not any(notes):
            return found
        assert isinstance(ids, torch.Tensor)
        filled = [note or _nothing(row) for note, row in zip(notes, _rows(ids), strict=True)]
        empty, mask = (ids.new_tensor([getattr(note, name) for note in filled]) for name in ("empty", "mask"))

        def emptied(value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or value.shape != ids.shape:
                return value
            return empty if value is ids else mask.to(value)

        apart = forward(*map(emptied, given), **{name: emptied(value) for name, value in named.items()})
        weights = torch.tensor([note.weights for note in filled], device=ids.device)[..., None]
        return _mixed(found, apart, weights, mask[..., None] if blank else None)

    encoder.forward = weighed
    try:
        yield
    finally:
        if own is None:
            del encoder.forward
        else:
            encoder.forward = own


def _nothing(row: Ids) -> Note:
    return Note(weights=(1.0,) * len(row), empty=row, mask=(1,) * len(row))


def _mixed(found: Any, empty: Any, weights: torch.Tensor, mask: torch.Tensor | None) -> Any:
    """All states in an encoder's answer moved by the weights; summaries stay as they are."""
    if isinstance(found, ModelOutput):
        return type(found)(**{name: _mixed(value, empty[name], weights, mask) for name, value in found.items()})
    if isinstance(found, tuple):
        return tuple(_mixed(one, other, weights, mask) for one, other in zip(found, empty, strict=True))
    if not isinstance(found, torch.Tensor) or found.ndim != 3 or found.shape[:2] != weights.shape[:2]:
        return found
    weights = weights.to(found.device)
    zero = empty.float() if mask is None else empty.float() * mask.to(found.device)
    return torch.where(weights == 1.0, found, (zero + (found.float() - zero) * weights).to(found.dtype))

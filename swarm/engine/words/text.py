"""Prompts to embeddings: CLIP in chunks of 75 tokens, weights per token, clip skip, and a memory of what was encoded.

Weights follow z = empty + (z - empty) * w per token (swarm-t2i 5.6), where `empty` is the encoding of an empty prompt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

import torch
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from swarm.engine.components import TextOptions
from swarm.engine.words.inversions import Placed, Token, in_place, marked, pieces
from swarm.jobs.stage import Conditioning
from swarm.prompt.alternation import split_breaks
from swarm.prompt.weights import WeightedSpan, weighted_spans

CHUNK = 75
REMEMBERED = 256
_LONG_WORD = 8
"""Spans of at least this many tokens may be cut at a chunk's end; shorter ones move to the next chunk whole."""


@dataclass(frozen=True)
class Chunk:
    """Up to 75 tokens, vectors of textual inversions among them, and the weight of each."""

    ids: tuple[Token, ...]
    weights: tuple[float, ...]


def chunked(spans: Sequence[tuple[Sequence[Token], float]]) -> list[Chunk]:
    """Token spans, each with its weight, laid out in chunks; at least one chunk, possibly empty."""
    chunks: list[Chunk] = []
    ids: list[Token] = []
    weights: list[float] = []

    def close() -> None:
        chunks.append(Chunk(tuple(ids), tuple(weights)))
        ids.clear()
        weights.clear()

    for tokens, weight in spans:
        rest = list(tokens)
        while rest:
            room = CHUNK - len(ids)
            if len(rest) > room and len(rest) < _LONG_WORD:
                close()
                continue
            ids += rest[:room]
            weights += [weight] * len(rest[:room])
            rest = rest[room:]
            if rest:
                close()
    if ids or not chunks:
        close()
    return chunks


class ClipEncoder:
    """One CLIP text model. `pad`: the token that fills a chunk, None for the end mark. `default_layer`: which hidden
    state is used when the request says nothing, -1 is the last. `normalise`: whether the final norm is applied.
    `slot`: which vectors of textual inversions are for it. `summary`: also give the plain summary of a model without
    projection. `dropped`: how many of its last layers the file came without, so that a request's count still means the
    same layer."""

    def __init__(
        self,
        *,
        model: Any,
        device: torch.device,
        pad: int | None,
        default_layer: int,
        normalise: bool,
        slot: str = "clip_l",
        summary: bool = False,
        dropped: int = 0,
    ) -> None:
        self.model: CLIPTextModel | CLIPTextModelWithProjection = model
        self.default_layer = default_layer
        self._slot = slot
        self._summary = summary
        self._dropped = dropped
        self._device = device
        self._normalise = normalise
        self._inner = getattr(model, "text_model", model)
        self._start = int(model.config.bos_token_id)
        self._end = int(model.config.eos_token_id)
        self._pad = self._end if pad is None else pad
        self._layers = int(model.config.num_hidden_layers)

    def encode(self, chunks: Sequence[Chunk], asked: int | None) -> tuple[torch.Tensor, torch.Tensor | None]:
        """(tokens (n, 77, width) with weights applied, pooled (n, projection) or None). `asked`: the layer the request
        wants, -1 is the last, None for the usual one."""
        layer = self.default_layer if asked is None else min(-1, asked + self._dropped)
        weighted = any(weight != 1.0 for chunk in chunks for weight in chunk.weights)
        rows = [self._row(chunk.ids) for chunk in chunks]
        if weighted:
            rows.append(self._row(()))
        numbers = [[0 if isinstance(token, Placed) else token for token in row] for row in rows]
        with in_place(self.model, rows, self._slot):
            out = self.model(input_ids=torch.tensor(numbers, device=self._device), output_hidden_states=True)
        # A count beyond the model's layers means the last one.
        hidden = out.hidden_states[layer if -layer <= self._layers else -1]
        if self._normalise:
            hidden = self._inner.final_layer_norm(hidden)
        pooled = getattr(out, "text_embeds", None)
        if pooled is None and self._summary:
            pooled = out.pooler_output
        if not weighted:
            return hidden, pooled
        factors = torch.ones(len(chunks), CHUNK + 2, 1)
        for number, chunk in enumerate(chunks):
            factors[number, 1 : 1 + len(chunk.weights), 0] = torch.tensor(chunk.weights)
        empty = hidden[-1:]
        mixed = empty + (hidden[:-1] - empty) * factors.to(device=hidden.device, dtype=hidden.dtype)
        return mixed, None if pooled is None else pooled[:-1]

    def _row(self, ids: Sequence[Token]) -> list[Token]:
        row: list[Token] = [self._start, *ids, self._end]
        return row + [self._pad] * (CHUNK + 2 - len(row))


class Remembering:
    """A model's text encoders as one (components.TextEncoder), with a memory of what was encoded; families subclass it.

    `state`: names the changes that are in the encoders' weights now (LoRAs); what is remembered holds for one state.
    `sees`: whether pictures that come with a prompt change how it is encoded.
    """

    sees = False

    def __init__(self) -> None:
        self._remembered: OrderedDict[tuple[Any, ...], Conditioning] = OrderedDict()
        self.state: tuple[Any, ...] = ()
        self.calls = 0
        self.awake: Callable[[], AbstractContextManager[None]] = nullcontext

    def encode(self, text: str, options: TextOptions) -> Conditioning:
        """The conditioning of a prompt; the same object while it is remembered."""
        key = self._key(text, options)
        known = self._remembered.get(key)
        if known is None:
            with self.awake():
                known = self._remembered[key] = self.whole(text, options)
            self.calls += 1
            if len(self._remembered) > REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(key)
        return known

    def _key(self, text: str, options: TextOptions) -> tuple[Any, ...]:
        """What an encoding is remembered by; of pictures no more than tells them apart."""
        seen = tuple(sha256(picture.data).digest() for picture in options.pictures) if self.sees else ()
        return text, replace(options, pictures=()) if options.pictures else options, seen, self.state

    def whole(self, text: str, options: TextOptions) -> Conditioning:
        """A prompt's parts between `<break>` tags, encoded one by one: their tokens follow one another, what else there
        is is the first part's."""
        first, *others = [self.encoded(part, options) for part in split_breaks(text)]
        if not others:
            return first
        return replace(first, tokens=torch.cat([first.tokens, *(each.tokens for each in others)], dim=1))

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        """Run the encoders on a prompt without breaks."""
        raise NotImplementedError


class ClipText(Remembering):
    """CLIP encoders side by side (their widths are concatenated), with one tokenizer."""

    def __init__(self, encoders: Sequence[ClipEncoder], tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.encoders = tuple(encoders)
        self._tokenizer = tokenizer

    def encoded(self, text: str, options: TextOptions) -> Conditioning:
        chunks = clip_chunks(text, self._tokenizer, options)
        tokens, pooled = [], None
        for encoder in self.encoders:
            states, summary = encoder.encode(chunks, options.stop_at_layer)
            tokens.append(states.reshape(1, -1, states.shape[-1]))
            pooled = summary[:1] if summary is not None else pooled
        return Conditioning(tokens=torch.cat(tokens, dim=-1), pooled=pooled)


def clip_chunks(text: str, tokenizer: CLIPTokenizer, options: TextOptions) -> list[Chunk]:
    """A prompt's tokens in chunks of 75, textual inversions as their vectors."""
    text, named = marked(text, options)

    def tokens(span: WeightedSpan) -> Iterator[tuple[Sequence[Token], float]]:
        for piece in pieces(span.text, named):
            if isinstance(piece, str):
                yield tokenizer(piece, add_special_tokens=False, verbose=False).input_ids, span.weight
            else:
                yield piece, span.weight

    return chunked([each for span in weighted_spans(text) for each in tokens(span)])

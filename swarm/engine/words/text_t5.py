"""T5 text encoders: one sequence of any length, weights per token by ComfyUI's rule, with the memory all encoders have.

z = empty + (z - empty) * w per token, where `empty` is the empty prompt's encoding at the same length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.words.inversions import without_inversions
from swarm.prompt.weights import weighted_spans

Span = tuple[list[int], float]
_END, _PAD = 1, 0


class T5Encoder:
    """One T5 encoder with its tokenizer. `shortest`: shorter prompts are filled up to this many tokens with padding,
    which is read like words. `ends`: whether the empty prompt, which weights lead away from, has an end mark; it is
    nothing but padding without."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        device: torch.device,
        *,
        shortest: int = 1,
        ends: bool = True,
    ) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._device = device
        self._shortest = shortest
        self._ends = ends

    def encode(self, text: str, layer: int | None = None) -> torch.Tensor:
        """A prompt as (1, length, width). `layer`: -2 is the last but one, whose output gets the final norm too."""
        spans = [self._tokens(span.text, span.weight) for span in weighted_spans(without_inversions(text))]
        ids = [id for tokens, _ in spans for id in tokens]
        weights = [weight for tokens, weight in spans for _ in tokens]
        length = max(self._shortest, len(ids) + 1)
        rows = [self._row(ids, length)]
        if any(weight != 1.0 for weight in weights):
            rows.append(self._row([], length) if self._ends else [_PAD] * length)
        hidden = t5_states(self.model, torch.tensor(rows, device=self._device), layer)
        if len(rows) == 1:
            return hidden
        factors = torch.ones(1, length, 1)
        factors[0, : len(weights), 0] = torch.tensor(weights)
        empty = hidden[1:]
        return empty + (hidden[:1] - empty) * factors.to(hidden)

    def _tokens(self, text: str, weight: float) -> Span:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids, weight

    @staticmethod
    def _row(ids: Sequence[int], length: int) -> list[int]:
        return [*ids, _END, *[_PAD] * (length - len(ids) - 1)]


def t5_states(model: Any, ids: torch.Tensor, layer: int | None, mask: torch.Tensor | None = None) -> torch.Tensor:
    """The states a T5 has for tokens (n, length). `layer`: -1 is the last, None too, and what is beyond its layers;
    whichever it is gets the final norm."""
    given = {"input_ids": ids, **({} if mask is None else {"attention_mask": mask})}
    if layer is None or layer == -1:
        found: torch.Tensor = model(**given).last_hidden_state
        return found
    states = model(**given, output_hidden_states=True).hidden_states
    inner: torch.Tensor = states[layer if -layer < len(states) else -1]
    return inner if inner is states[-1] else model.encoder.final_layer_norm(inner)

"""T5 text encoders: one sequence of any length, weights per token by ComfyUI's rule, with the memory all encoders have.

z = empty + (z - empty) * w per token, where `empty` is the empty prompt's encoding at the same length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.inversions import without_inversions
from swarm.prompt.alternation import split_breaks
from swarm.prompt.weights import weighted_spans

Span = tuple[list[int], float]
_END, _PAD = 1, 0


class T5Encoder:
    """One T5 encoder with its tokenizer. `shortest`: shorter prompts are filled up with padding to this many tokens.

    `hides_padding`: padding is not attended to inside the encoder. `pads`: padding tokens that always follow a prompt.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        device: torch.device,
        *,
        shortest: int = 1,
        hides_padding: bool = False,
        pads: int = 0,
    ) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self._device = device
        self._shortest = shortest
        self._hides_padding = hides_padding
        self._pads = pads

    def encode(self, text: str, layer: int | None = None) -> torch.Tensor:
        """A prompt as (1, length, width). `layer`: -2 is the last but one, whose output gets the final norm too."""
        spoken = " ".join(split_breaks(without_inversions(text)))
        spans = [self._tokens(span.text, span.weight) for span in weighted_spans(spoken)]
        ids = [id for tokens, _ in spans for id in tokens]
        weights = [weight for tokens, weight in spans for _ in tokens]
        length = max(self._shortest, len(ids) + 1 + self._pads)
        rows = [self._row(ids, length)]
        if any(weight != 1.0 for weight in weights):
            rows.append(self._row([], length))
        hidden = self._hidden(torch.tensor(rows, device=self._device), [len(ids) + 1, 1][: len(rows)], layer)
        if len(rows) == 1:
            return hidden
        factors = torch.ones(1, length, 1)
        factors[0, : len(weights), 0] = torch.tensor(weights)
        empty = hidden[1:]
        return empty + (hidden[:1] - empty) * factors.to(hidden)

    def _hidden(self, ids: torch.Tensor, lengths: Sequence[int], layer: int | None) -> torch.Tensor:
        mask = None
        if self._hides_padding:
            positions = torch.arange(ids.shape[1], device=ids.device)
            mask = (positions < torch.tensor(lengths, device=ids.device)[:, None]).long()
        if layer is None or layer == -1:
            found: torch.Tensor = self.model(input_ids=ids, attention_mask=mask).last_hidden_state
            return found
        states = self.model(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        inner: torch.Tensor = states[layer if -layer < len(states) else -1]
        return inner if inner is states[-1] else self.model.encoder.final_layer_norm(inner)

    def _tokens(self, text: str, weight: float) -> Span:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        return ids, weight

    @staticmethod
    def _row(ids: Sequence[int], length: int) -> list[int]:
        return [*ids, _END, *[_PAD] * (length - len(ids) - 1)]

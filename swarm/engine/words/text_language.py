"""Prompts read by a language model: a template around the text, and the states of one or several layers as tokens.

The text is taken as it is (swarm-t2i 5.6): parentheses and numbers are no weights to a language model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from swarm.engine.words.inversions import without_inversions
from swarm.engine.words.text_layers import layer_states


@dataclass(frozen=True, kw_only=True)
class Template:
    """What stands around a prompt: `before` and `after`. `opening`: tokens at the start that are not shown to the
    denoiser. `longest`: tokens of prompt and frame together; the end of a longer prompt is left out."""

    before: str
    after: str
    opening: int = 0
    longest: int = 4096


@dataclass(frozen=True, kw_only=True)
class Padding:
    """Shorter prompts are filled up to `shortest` tokens with `token`, right of the text."""

    token: int
    shortest: int


class LanguageEncoder:
    """One language model with its tokenizer. `layers`: whose states are laid side by side, 0 is the embedding; empty
    for the model's last states, after its last norm. A single one is counted from the end."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        device: torch.device,
        template: Template,
        *,
        layers: Sequence[int] = (),
        padding: Padding | None = None,
    ) -> None:
        self.model = model
        self._tokenizer = tokenizer
        self.device = device
        self._template = template
        self._layers = tuple(layers)
        self._padding = padding

    def encode(self, text: str, layer: int | None = None) -> torch.Tensor:
        """A prompt as (1, length, width), filling included. `layer`: the one the request wants, -1 is the last; where
        several are read it means nothing."""
        ids, mask = self._filled(self.tokens(plain(text)))
        given = {
            "input_ids": torch.tensor([ids], device=self.device),
            "attention_mask": torch.tensor([mask], device=self.device),
        }
        if len(self._layers) > 1:
            states = self.model(**given, output_hidden_states=True, use_cache=False).hidden_states
            beside = torch.cat([states[layer] for layer in self._layers], dim=-1)
            return beside[:, self._template.opening :]
        own = next(iter(self._layers), None) if layer is None else layer
        return layer_states(self.model, own, **given)[:, self._template.opening :]

    def tokens(self, text: str) -> list[int]:
        """The numbers of a prompt's tokens with those of the template."""
        template = self._template
        ids: list[int] = self._tokenizer(template.before + text + template.after, verbose=False).input_ids
        if len(ids) <= template.longest:
            return ids
        end: list[int] = self._tokenizer(template.after, add_special_tokens=False, verbose=False).input_ids
        return [*ids[: template.longest - len(end)], *end]

    def _filled(self, ids: list[int]) -> tuple[list[int], list[int]]:
        missing = 0 if self._padding is None else max(0, self._padding.shortest - len(ids))
        if self._padding is None or not missing:
            return ids, [1] * len(ids)
        filling, seen = [self._padding.token] * missing, [1] * len(ids)
        return [*ids, *filling], [*seen, *[0] * missing]


def plain(text: str) -> str:
    """A prompt as a language model reads it: escaped parentheses are parentheses, nothing else is syntax."""
    return without_inversions(text).replace("\\(", "(").replace("\\)", ")")

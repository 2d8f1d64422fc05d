"""Ways to run a UNet with its deepest self-attention disturbed or watched, for the features that guide by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from swarm.features.attention_guidance import ATTENDED, PERTURBED


class OwnPlace:
    """Self-attention that looks nowhere but at its own place: values pass, weighted with nothing."""

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *_more: Any, **_named: Any) -> torch.Tensor:
        out: torch.Tensor = attention.to_out[0](attention.to_v(hidden_states))
        return out


class Watching:
    """Plain self-attention that keeps the first row's weights: `seen`, (heads, places, places)."""

    def __init__(self) -> None:
        self.seen: torch.Tensor | None = None

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *_more: Any, **_named: Any) -> torch.Tensor:
        count, _, _ = hidden_states.shape
        query, key, value = (
            layer(hidden_states).unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for layer in (attention.to_q, attention.to_k, attention.to_v)
        )
        weights = torch.softmax(query.float() @ key.float().transpose(-1, -2) * attention.scale, dim=-1)
        self.seen = weights[0]
        mixed = (weights.to(value) @ value).transpose(1, 2).reshape(count, -1, attention.heads * value.shape[-1])
        out: torch.Tensor = attention.to_out[0](mixed)
        return out


def _deepest(unet: Any) -> list[Any]:
    """Self-attention layers of the middle block."""
    attentions = getattr(unet.mid_block, "attentions", [])
    return [block.attn1 for attention in attentions for block in attention.transformer_blocks]


@contextmanager
def _with(layers: list[Any], processor: Any) -> Iterator[Any]:
    before = [layer.processor for layer in layers]
    for layer in layers:
        layer.processor = processor
    try:
        yield processor
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.processor = own


def _perturbed(unet: Any) -> AbstractContextManager[Any]:
    return _with(_deepest(unet), OwnPlace())


def _watched(unet: Any) -> AbstractContextManager[Any]:
    return _with(_deepest(unet)[:1], Watching())


VARIANTS: Mapping[str, Callable[[Any], AbstractContextManager[Any]]] = {PERTURBED: _perturbed, ATTENDED: _watched}

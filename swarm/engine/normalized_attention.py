"""Cross-attention that is led away from other words (normalized attention guidance, Chen et al. 2025, 2505.21179)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from swarm.engine.components import Row
from swarm.engine.image_words import cross_attention
from swarm.features.normalized_attention import Away, away_in


@contextmanager
def led_away(unet: Any, rows: Sequence[Row]) -> Iterator[None]:
    """While it is entered, the UNet's cross-attention keeps away from what `rows` say; all of them say so or none."""
    said = [found for row in rows if (found := away_in(row.conditioning)) is not None]
    if not said:
        yield
        return
    layers = cross_attention(unet)
    before = [layer.processor for layer in layers]
    leading = LeadingAway(said)
    for layer in layers:
        layer.processor = leading
    try:
        yield
    finally:
        for layer, own in zip(layers, before, strict=True):
            layer.processor = own


class LeadingAway:
    """Plain cross-attention, asked twice: of the prompt's words, and of those to keep away from."""

    def __init__(self, said: Sequence[Away]) -> None:
        self._tokens = torch.cat([each.tokens for each in said])
        self._numbers = torch.tensor([(each.scale, each.alpha, each.tau) for each in said])

    def __call__(
        self, attention: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, **_named: Any
    ) -> torch.Tensor:
        query = _heads(attention, attention.to_q(hidden_states))
        toward = _attended(attention, query, encoder_hidden_states)
        away = _attended(attention, query, self._tokens.to(encoder_hidden_states))
        scale, alpha, tau = self._numbers.to(toward)[:, :, None, None].unbind(1)
        out: torch.Tensor = attention.to_out[0](normalized(toward, away, scale, alpha, tau))
        return out


def normalized(
    toward: torch.Tensor, away: torch.Tensor, scale: torch.Tensor, alpha: torch.Tensor, tau: torch.Tensor
) -> torch.Tensor:
    """Attention (n, places, channels) led from `away` past `toward`, at each place at most `tau` times as strong as
    that, and mixed with it."""
    guided = toward * scale - away * (scale - 1.0)
    own, norm = (each.float().norm(p=1, dim=-1, keepdim=True) for each in (toward, guided))
    guided = guided * (own * tau.float() / norm.clamp(min=1e-6)).clamp(max=1.0).to(guided)
    return guided * alpha + toward * (1.0 - alpha)


def _heads(attention: Any, x: torch.Tensor) -> torch.Tensor:
    return x.unflatten(-1, (attention.heads, -1)).transpose(1, 2)


def _attended(attention: Any, query: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    key, value = _heads(attention, attention.to_k(tokens)), _heads(attention, attention.to_v(tokens))
    return scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)

"""Attention layers that call their processor at once.

diffusers looks up the processor's signature at every call, to filter arguments we do not pass: a tenth of a step
of a small model.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention_processor import Attention


class DirectForward:
    """An attention layer's forward; the processor is asked for anew at each call, so it may be replaced."""

    def __init__(self, attention: Any) -> None:
        self._attention = attention
        self._filtered = attention.forward

    def __call__(
        self,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        **more: Any,
    ) -> Any:
        if more:
            return self._filtered(hidden_states, encoder_hidden_states, attention_mask, **more)
        return self._attention.processor(
            self._attention,
            hidden_states,
            encoder_hidden_states=encoder_hidden_states,
            attention_mask=attention_mask,
        )


def call_directly(network: torch.nn.Module) -> None:
    """Shorten the way to the processors of all attention layers of a network."""
    for module in network.modules():
        if isinstance(module, Attention) and not isinstance(module.forward, DirectForward):
            module.forward = DirectForward(module)

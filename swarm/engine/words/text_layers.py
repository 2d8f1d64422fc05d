"""Which states of a text encoder are read: after its last norm, or what one of its layers says, as it is."""

from __future__ import annotations

from typing import Any

import torch


def layer_states(model: Any, layer: int | None, **given: Any) -> torch.Tensor:
    """The states (n, length, width) of a language model called with `given`. `layer`: counted from the end, -1 is the
    last one, whose states get no norm; None for those after the last norm, as is a count beyond its layers."""
    if layer is None or -layer > int(model.config.num_hidden_layers):
        found: torch.Tensor = model(**given, use_cache=False).last_hidden_state
        return found
    if layer < -1:
        # The last entry is normed, and stands for the last layer; the first is what goes into the first layer.
        inner: torch.Tensor = model(**given, output_hidden_states=True, use_cache=False).hidden_states[layer]
        return inner
    return _before_norm(model, given)


def _before_norm(model: Any, given: dict[str, Any]) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    hook = model.norm.register_forward_pre_hook(lambda _norm, inputs: seen.append(inputs[0]))
    try:
        model(**given, use_cache=False)
    finally:
        hook.remove()
    return seen[0]

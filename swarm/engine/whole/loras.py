"""LoRAs in whole pipelines, by diffusers' own loader: as adapters beside the weights, which stay as they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import torch
from safetensors import SafetensorError, safe_open

from swarm.base.errors import BadInput
from swarm.jobs.job import LoraUse

Key: TypeAlias = "tuple[tuple[str, str, float, float], ...]"
_UNFIT = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, OSError, IndexError, SafetensorError)
_DOWN = (".lora_A.weight", ".lora_down.weight", ".lora.down.weight")


def key_of(uses: Sequence[LoraUse]) -> Key:
    """Equal keys put the same into the weights."""
    return tuple((str(use.file.path), use.file.stamp, use.weight, use.text_weight) for use in uses)


def take_out(pipe: Any) -> None:
    """Without any LoRA; the weights are then what they were before, to the last bit."""
    if hasattr(pipe, "unload_lora_weights"):
        pipe.unload_lora_weights()


def put_in(pipe: Any, uses: Sequence[LoraUse]) -> None:
    """Exactly these LoRAs. Raises BadInput with a sentence when one does not fit; then none is in."""
    take_out(pipe)
    if not uses:
        return
    if not hasattr(pipe, "load_lora_weights"):
        raise BadInput("This model runs as a whole pipeline for which diffusers loads no LoRAs. Remove the LoRAs.")
    names = [f"swarm{position}" for position in range(len(uses))]
    try:
        for name, use in zip(names, uses, strict=True):
            _load(pipe, name, use)
        pipe.set_adapters(names, [_weights(pipe, use) for use in uses])
    except BadInput:
        take_out(pipe)
        raise


def _load(pipe: Any, name: str, use: LoraUse) -> None:
    file = use.file
    try:
        pipe.load_lora_weights(str(file.path.parent), weight_name=file.path.name, adapter_name=name)
    except _UNFIT as error:
        first = next(iter(str(error).splitlines()), "").replace(str(file.path.parent), "").rstrip(".")
        raise BadInput(f"The LoRA '{file.name}' does not fit this model: {first[:200]}.") from None
    wanted, found = _layers_in(file.path), sum(_layers_of(part, name) for part in pipe.components.values())
    if found == 0:
        raise BadInput(f"The LoRA '{file.name}' does not fit this model: none of its layers exists in it.")
    if wanted and found * 2 < wanted:
        raise BadInput(
            f"The LoRA '{file.name}' does not fit this model: of its {wanted} layers {found} exist in the model."
        )


def _layers_in(path: Any) -> int:
    """How many layers a file changes, as far as its names tell."""
    with safe_open(str(path), framework="pt") as file:
        return sum(name.endswith(_DOWN) for name in file.keys())  # noqa: SIM118 - it is no mapping


def _layers_of(part: Any, name: str) -> int:
    """How many layers of a component an adapter sits in."""
    if not isinstance(part, torch.nn.Module):
        return 0
    return sum(name in getattr(module, "lora_A", ()) for module in part.modules())


def _weights(pipe: Any, use: LoraUse) -> Any:
    """One weight, or one for each component where they differ."""
    if use.weight == use.text_weight:
        return use.weight
    parts = [name for name, part in pipe.components.items() if isinstance(part, torch.nn.Module)]
    return {name: use.text_weight if name.startswith("text_encoder") else use.weight for name in parts}

"""LoRAs that act in some model calls only: beside the weights, not in them.

Words of a region may bring LoRAs of their own (swarm-t2i 9.11). Putting them into the weights and taking them out again
at every step would cost more than the step, so for those calls each layer adds what the LoRA makes of its input.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch.nn.functional import conv2d, group_norm, layer_norm, linear, rms_norm

from swarm.engine.components import Components
from swarm.engine.loras.lora import BIAS, Change, fitting, lora_targets, other_shape
from swarm.engine.loras.lora_files import Pieces
from swarm.engine.loras.lora_kinds import change_of
from swarm.jobs.job import LoraUse

_REMEMBERED = 4
"""LoRA files whose layers are kept ready."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Branch:
    """What a LoRA makes of one layer's input: `down`, then `up` (rank 1 by 1 for convolutions), or `whole` at once, or
    the same of any input: `bias`."""

    module: Any
    of_text: bool
    down: torch.Tensor | None = None
    up: torch.Tensor | None = None
    whole: torch.Tensor | None = None
    bias: torch.Tensor | None = None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.bias is not None:
            in_maps = isinstance(self.module, torch.nn.Conv2d | torch.nn.GroupNorm)
            return self.bias.to(x).reshape(-1, *[1] * (x.ndim - 2)) if in_maps else self.bias.to(x)
        if self.whole is not None:
            return through(self.module, x, self.whole.to(x))
        assert self.down is not None
        assert self.up is not None
        narrow = through(self.module, x, self.down.to(x))
        return conv2d(narrow, self.up.to(x)) if self.up.ndim == 4 else linear(narrow, self.up.to(x))


_Key: TypeAlias = tuple[Path, str]


class Branches:
    """The branches of one loaded model."""

    def __init__(self, components: Components) -> None:
        self._components = components
        self._known: OrderedDict[_Key, tuple[Branch, ...]] = OrderedDict()

    def let_go(self) -> None:
        self._known.clear()

    @contextmanager
    def acting(self, uses: Sequence[LoraUse]) -> Iterator[None]:
        """Calls inside go through these LoRAs too. Raises BadInput for files that do not fit."""
        hooks: list[Any] = []
        try:
            for use in uses:
                for branch in self._of(use):
                    strength = use.text_weight if branch.of_text else use.weight
                    if strength:
                        hooks.append(branch.module.register_forward_hook(_adding(branch, strength)))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _of(self, use: LoraUse) -> tuple[Branch, ...]:
        key = use.file.path, use.file.stamp
        if key not in self._known:
            targets = lora_targets(self._components)
            changes = fitting(self._components, use.file)
            try:
                made = tuple(branch for change in changes for branch in _branches(targets, change))
            except (RuntimeError, KeyError):
                raise other_shape(use.file.name, self._components, changes[0].names[0]) from None
            self._known[key] = made
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return self._known[key]


def _branches(targets: Mapping[str, Any], change: Change) -> Iterator[Branch]:
    of_text = not change.names[0].startswith("unet_")
    modules = [targets[name.removesuffix(BIAS)] for name in change.names]
    if change.names[0].endswith(BIAS):
        yield Branch(module=modules[0], of_text=of_text, bias=change.turned(change.pieces["whole"]))
        return
    weight = torch.cat([module.weight for module in modules])
    pieces = change.pieces
    plain = set(pieces) <= {"down", "up", "alpha"} and {"down", "up"} <= set(pieces) and len(modules) == 1
    if plain and pieces["up"].flatten(1).shape[0] == len(weight):
        yield _narrow(modules[0], {**pieces, "up": change.turned(pieces["up"])}, of_text)
        return
    whole = change.turned(change_of(change.turned(weight), pieces)).to(weight.dtype)
    for module, part in zip(modules, whole.split([len(module.weight) for module in modules]), strict=True):
        yield Branch(module=module, of_text=of_text, whole=part)


def _narrow(module: Any, pieces: Pieces, of_text: bool) -> Branch:
    place, dtype = module.weight.device, module.weight.dtype
    rank = pieces["down"].shape[0]
    scale = float(pieces["alpha"]) / rank if "alpha" in pieces else 1.0
    down = pieces["down"].to(place, dtype).reshape(rank, *module.weight.shape[1:])
    up = (pieces["up"].float() * scale).to(place, dtype).flatten(1)
    return Branch(module=module, of_text=of_text, down=down, up=up[:, :, None, None] if down.ndim == 4 else up)


def through(module: Any, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> torch.Tensor:
    """What a layer like `module` with another weight and bias makes of `x`."""
    if isinstance(module, torch.nn.GroupNorm):
        return group_norm(x, module.num_groups, weight, bias, module.eps)
    if isinstance(module, torch.nn.LayerNorm):
        return layer_norm(x, weight.shape, weight, bias, module.eps)
    if weight.ndim == 1:
        return rms_norm(x, weight.shape, weight, module.eps)
    if weight.ndim == 4:
        return conv2d(x, weight, bias, module.stride, module.padding, module.dilation, module.groups)
    return linear(x, weight, bias)


def _adding(branch: Branch, strength: float) -> Callable[[Any, Any, torch.Tensor], torch.Tensor]:
    def after(_module: Any, arguments: tuple[torch.Tensor, ...], answer: torch.Tensor) -> torch.Tensor:
        return torch.add(answer, branch(arguments[0]), alpha=strength)

    return after

"""Tensors of an original layout in diffusers' names, by a table of modules: the same one reads weights and LoRAs.

A family lists `original module -> diffusers modules`. Several modules mean that the original is one layer whose outputs
follow one another in theirs (`qkv` -> to_q, to_k, to_v).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch

Modules = Mapping[str, tuple[str, ...]]
Shapes = Mapping[str, tuple[int, ...]]
DENOISER_PREFIXES = ("model.diffusion_model.", "diffusion_model.", "transformer.", "net.", "model.", "")
"""Where denoisers are stored below, in the order they are looked for."""
SWAPPED = ".swapped"
_LEAVES = {"scale": "weight"}


@dataclass(frozen=True, kw_only=True)
class Renaming:
    """`modules`: the table. `swapped`: diffusers modules whose two halves the original has the other way round.
    `whole`: tensors that are no module's weight or bias, by their whole names."""

    modules: Modules
    swapped: frozenset[str] = frozenset()
    whole: Mapping[str, str] = field(default_factory=dict)

    def lora_names(self, key: str) -> tuple[str, ...]:
        """Modules of a LoRA key (underscores for dots); the key itself when the table has it not. A module that has its
        halves the other way round ends in SWAPPED."""
        return self._by_lora_name.get(key, (key,))

    @cached_property
    def _by_lora_name(self) -> dict[str, tuple[str, ...]]:
        return {
            name.replace(".", "_"): tuple(
                home.replace(".", "_") + (SWAPPED if home in self.swapped else "") for home in homes
            )
            for name, homes in self.modules.items()
        }

    def tensors(
        self, tensors: Iterable[tuple[str, torch.Tensor]], expected: Shapes
    ) -> Iterator[tuple[str, torch.Tensor]]:
        """(diffusers name, tensor); names already in diffusers' spelling go through, unknown ones are left out.

        `expected`: shapes of the module that is filled, which say where a fused layer is cut.
        """
        for name, tensor in tensors:
            if name in self.whole:
                yield self.whole[name], tensor
                continue
            module, _, leaf = name.rpartition(".")
            homes = self.modules.get(module)
            if homes is None:
                yield name, tensor
                continue
            names = [f"{home}.{_LEAVES.get(leaf, leaf)}" for home in homes]
            if len(names) == 1:
                swap = homes[0] in self.swapped
                yield names[0], swapped(tensor) if swap else tensor
            else:
                sizes = [expected[each][0] for each in names if each in expected]
                if len(sizes) == len(names) and sum(sizes) == tensor.shape[0]:
                    yield from zip(names, tensor.split(sizes), strict=True)


def swapped(tensor: torch.Tensor) -> torch.Tensor:
    """The second half of a tensor before its first."""
    return torch.cat(tensor.chunk(2)[::-1])


def expected_shapes(module: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a module's weights."""
    return {name: tuple(weight.shape) for name, weight in module.named_parameters()}

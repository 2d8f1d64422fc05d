"""LoRAs: files in kohya's and diffusers' spellings, put into a loaded model's weights and taken out again exactly.

The weights a LoRA changes are kept as they were, so taking it out restores every bit. Never fused twice: each change
starts from the kept originals, and several LoRAs are added up before anything is rounded.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.components import Components
from swarm.engine.files.renaming import SWAPPED, swapped
from swarm.engine.loras.lora_files import Pieces, read_lora
from swarm.engine.loras.lora_kinds import can_be_cut, changed, cut
from swarm.engine.loras.lora_wide import Widened, parted
from swarm.engine.residency import Residency, take_blocks_home
from swarm.jobs.job import LoraUse, ModelFile

logger = logging.getLogger(__name__)

LoraKey = tuple[tuple[Path, str, float, float], ...]
BIAS = ".bias"
"""Behind a module's name: its bias is meant, not its weight."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Change:
    """What a LoRA changes: one weight, or the weights of several modules that are one layer in the file.

    `halves_swapped`: in the file, the second half of the weight comes first.
    """

    names: tuple[str, ...]
    pieces: Pieces
    halves_swapped: bool = False

    def turned(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor of the weight's rows as the file has them, and back."""
        return swapped(tensor) if self.halves_swapped else tensor


class Patched:
    """What is in a model's weights now. `uses`: the key of the LoRAs that are in, empty for none."""

    def __init__(self, components: Components) -> None:
        self.uses: LoraKey = ()
        self._components = components
        self._targets = dict(_weights(lora_targets(components)))
        self._originals: dict[str, torch.Tensor] = {}
        self._widened: Widened | None = None

    def put(self, uses: Sequence[LoraUse], key: LoraKey) -> None:
        """Exactly these LoRAs, and no others. Raises BadInput for files that do not fit; then none is in."""
        self._restore()
        made: dict[str, torch.Tensor] = {}
        beside: list[torch.Tensor] = []
        for use in uses:
            self._add(use, made, beside)
        for name, value in made.items():
            target = self._targets[name]
            self._originals[name] = target.clone()
            target.copy_(value)
        if beside:
            layer = self._components.denoiser.get_submodule(self._components.adapter.widens)
            self._widened = Widened(layer, torch.stack(beside).sum(dim=0))
        self.uses = key
        self._components.text.state = key

    def _restore(self) -> None:
        if self._components.residency is Residency.LOW:
            take_blocks_home(self._components.denoiser)
        for name, original in self._originals.items():
            self._targets[name].copy_(original)
        self._originals.clear()
        if self._widened is not None:
            self._widened.undo()
            self._widened = None
        self.uses = ()
        self._components.text.state = ()

    def _add(self, use: LoraUse, made: dict[str, torch.Tensor], beside: list[torch.Tensor]) -> None:
        """Into `made`, weights by name in float32; into `beside`, what it makes of inputs that the network lacks."""
        for change in fitting(self._components, use.file):
            strength = use.weight if change.names[0].startswith("unet_") else use.text_weight
            if not strength:
                continue
            before = [made.get(name, self._targets[name]) for name in change.names]
            if change.names == (f"unet_{self._components.adapter.widens}",):
                change = _narrow(change, before[0].shape[1], strength, beside)
            sizes = [len(each) for each in before]
            try:
                whole = change.turned(before[0] if len(before) == 1 else torch.cat(before))
                whole = change.turned(changed(whole, change.pieces, strength))
                made |= dict(zip(change.names, whole.split(sizes), strict=True))
            except (RuntimeError, KeyError):
                raise other_shape(use.file.name, self._components, change.names[0]) from None


def _narrow(change: Change, inputs: int, strength: float, beside: list[torch.Tensor]) -> Change:
    """A change of a layer's own inputs; what it says of others goes into `beside`."""
    parts = parted(change.pieces, inputs, strength)
    if parts is None:
        return change
    pieces, others = parts
    beside.append(others)
    return replace(change, pieces=pieces)


def fitting(components: Components, file: ModelFile) -> list[Change]:
    """What a LoRA changes of a model. Raises BadInput when that is nothing."""
    targets = lora_targets(components)
    changes = [
        change
        for name, pieces in _parted(read_lora(file.path))
        for change in _translated(name, pieces, file.name, components, targets)
    ]
    known = dict(_weights(targets))
    found = [change for change in changes if all(name in known for name in change.names)]
    if not found:
        raise BadInput(f"The LoRA '{file.name}' does not fit the model '{components.file.name}'.")
    if len(found) < len(changes):
        logger.warning("LoRA %s: %d of %d parts fit the model.", file.name, len(found), len(changes))
    return found


def other_shape(file: str, components: Components, name: str) -> BadInput:
    """What to answer when a change does not fit the weight that it is for."""
    return BadInput(f"The LoRA '{file}' does not fit the model '{components.file.name}': {name} has another shape.")


def _parted(changes: Mapping[str, Pieces]) -> Iterator[tuple[str, Pieces]]:
    """Changes of modules as changes of their weights and of their biases."""
    for name, pieces in changes.items():
        weight = {part: piece for part, piece in pieces.items() if part != "bias"}
        if set(weight) - {"alpha"}:
            yield name, weight
        if "bias" in pieces:
            yield name + BIAS, {"whole": pieces["bias"]}


def _translated(
    name: str, pieces: Pieces, file: str, components: Components, targets: Mapping[str, Any]
) -> Iterator[Change]:
    """A change by the names of the modules that are there, cut where one layer is several modules here."""
    if not name.startswith("unet_"):
        yield Change(names=(name,), pieces=pieces)
        return
    end = BIAS if name.endswith(BIAS) else ""
    key = name.removeprefix("unet_").removesuffix(BIAS)
    keys = components.adapter.lora_keys(key, components.denoiser)
    homes = [f"unet_{each.removesuffix(SWAPPED)}" for each in keys]
    names = tuple(home + end for home in homes)
    if len(homes) == 1 or not can_be_cut(pieces):
        yield Change(names=names, pieces=pieces, halves_swapped=keys[0].endswith(SWAPPED))
        return
    sizes = [targets[home].weight.shape[0] if home in targets else 0 for home in homes]
    try:
        parts = cut(pieces, sizes)
    except (RuntimeError, KeyError):
        raise BadInput(
            f"The LoRA '{file}' does not fit the model '{components.file.name}': {name} cannot be cut."
        ) from None
    for one, part in zip(names, parts, strict=True):
        yield Change(names=(one,), pieces=part)


def lora_targets(components: Components) -> Mapping[str, Any]:
    """Every layer that a LoRA may change, by home and module name with underscores."""
    found: dict[str, Any] = {}
    for name, module in components.denoiser.named_modules():
        if isinstance(getattr(module, "weight", None), torch.Tensor):
            found["unet_" + name.replace(".", "_")] = module
    for number, encoder in enumerate(components.text_modules):
        for name, module in encoder.named_modules():
            if isinstance(module, torch.nn.Linear):
                plain = name.startswith(("text_model.", "encoder.block.")) or "projection" in name
                spelled = name if plain else f"text_model.{name}"
                found[f"te{number}_" + spelled.replace(".", "_")] = module
    return found


def _weights(targets: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, module in targets.items():
        yield name, module.weight
        if isinstance(getattr(module, "bias", None), torch.Tensor):
            yield name + BIAS, module.bias

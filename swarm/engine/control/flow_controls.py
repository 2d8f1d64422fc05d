"""What ControlNets beside Flux.1 and Stable Diffusion 3 have in common: their pictures as latents, strengths, sums."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from swarm.base.errors import BadInput
from swarm.engine.components import Row, Vae
from swarm.engine.control.control_layouts import wrong_family
from swarm.engine.denoisers import wide
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.files.renaming import Renaming, expected_shapes
from swarm.engine.files.shapes import Shapes
from swarm.engine.loader import Config, built, fill, read_json, refuse_gaps, settle
from swarm.engine.once import Numbers
from swarm.engine.words.encoders import from_folder
from swarm.jobs.job import ModelFile
from swarm.jobs.stage import Control

KEPT_HINTS = 16
MARKER = "controlnet_blocks.0.weight"
_PREFIXES = ("", "controlnet.", "module.")
Samples = Sequence[torch.Tensor]
Shown = Callable[[torch.Tensor], torch.Tensor]


def as_it_is(image: torch.Tensor) -> torch.Tensor:
    return image


class Hints:
    """Guiding pictures as latents; encoded once for all steps of a walk."""

    def __init__(self, vae: Vae) -> None:
        self._vae = vae
        self._known: OrderedDict[tuple[int, bool, Shown], tuple[Any, torch.Tensor]] = OrderedDict()

    def latents(self, chain: Sequence[Control], *, shifted: bool = True, shown: Shown = as_it_is) -> torch.Tensor:
        """(n, C, h, w). `shifted`: with the VAE's shift taken off, as the model's own latents are. `shown`: what is
        made of a picture before that."""
        return torch.cat([self._latent(one.hint, shifted, shown) for one in chain])

    def _latent(self, hint: torch.Tensor, shifted: bool, shown: Shown) -> torch.Tensor:
        key = id(hint), shifted, shown
        known = self._known.get(key)
        if known is None:
            vae = self._vae
            with vae.awake():
                plain = vae.encoded((shown(hint) * 2 - 1).to(next(vae.module.parameters()).device))
            # The picture is kept beside its latent, so that no other takes its place in memory.
            known = self._known[key] = hint, (plain - (vae.shift if shifted else 0.0)) * vae.scale
            while len(self._known) > KEPT_HINTS:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known[1]

    def let_go(self) -> None:
        self._known.clear()


def strengths(chain: Sequence[Control], like: torch.Tensor, numbers: Numbers) -> torch.Tensor:
    """(n, 1, 1)"""
    return numbers(one.strength for one in chain).to(like)[:, None, None]


def spread(samples: Samples | None, home: Callable[[int], int], blocks: int, by: torch.Tensor) -> list[torch.Tensor]:
    """A net's answers at full strength as one for each block of the model: block n takes number `home(n)`. Empty for
    none."""
    if not samples:
        return []
    scaled = [sample * by for sample in samples]
    return [scaled[home(number)] for number in range(blocks)]


def summed(one: Sequence[torch.Tensor], other: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Of two nets; one that says nothing is empty."""
    if not one or not other:
        return [*one, *other]
    return [first + second for first, second in zip(one, other, strict=True)]


def controls_of(rows: Sequence[Row]) -> list[tuple[Control, ...]]:
    """For each net of the rows, which have the same in the same order, what each row asks of it."""
    return list(zip(*(row.controls for row in rows), strict=True))


def read_net(
    file: ModelFile,
    kind: Any,
    device: Device,
    config: Callable[[Shapes], Config],
    names: Callable[[Shapes], Renaming],
) -> Any:
    """The ControlNet of a file or folder on the device. Raises BadInput."""
    dtype = wide(device)
    if file.path.is_dir():
        said = str(read_json(file.path / "config.json").get("_class_name"))
        if said != kind.__name__:
            raise BadInput(f"The folder '{file.name}' holds a {said}, not a ControlNet for this model.")
        net = from_folder(kind, file.path, dtype)
    else:
        checkpoint = Checkpoint(file.path)
        prefix = control_prefix(file, checkpoint)
        shapes = checkpoint.below(prefix)
        net = built(kind, config(shapes) | checkpoint.config().get("controlnet", {}))
        try:
            tensors = names(shapes).tensors(checkpoint.tensors_below(prefix), expected_shapes(net))
            fill(net, file.name, tensors, dtype)
            refuse_gaps(file.name, net)
        except BadInput:
            raise wrong_family(file) from None
    settle(net, device.place, dtype)
    return net


def control_prefix(file: ModelFile, checkpoint: Checkpoint) -> str:
    """What the names of the net's tensors begin with. Raises BadInput for a file without any."""
    prefix = checkpoint.prefix(_PREFIXES, MARKER)
    if prefix is None:
        raise BadInput(f"The file '{file.name}' holds no ControlNet for this kind of model.")
    return prefix

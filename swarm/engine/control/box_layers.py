"""GLIGEN: further layers of a UNet, in which a picture attends to what is said to be in boxes (2301.07093).

Each stands between a block's attention to the picture and that to the words.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock, GatedSelfAttentionDense
from diffusers.models.embeddings import GLIGENTextBoundingboxProjection

from swarm.base.errors import BadInput
from swarm.engine.chains import StandIn
from swarm.engine.components import Row
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.once import OncePerPrompts
from swarm.features.gligen import MOST_BOXES, Boxes, boxes_in
from swarm.jobs.job import ModelFile

_KEPT = 1
_WAYS = "input_blocks", "middle_block", "output_blocks"
_OWN_WAYS = "down", "mid", "up"
_LAYER = re.compile(r"(?:^|\.)(input_blocks|middle_block|output_blocks)\.(\d+)\..*\bfuser\.(.+)$")
_PLACES = "position_net."


@dataclass(frozen=True, kw_only=True, eq=False)
class _Read:
    """A file's layers, one for each of the UNet's blocks, and what makes things of boxes."""

    layers: tuple[GatedSelfAttentionDense, ...]
    places: GLIGENTextBoundingboxProjection


class BoxLayers:
    """What a GLIGEN model adds to one UNet; kept beside it."""

    def __init__(self, unet: Any, device: Device) -> None:
        self._unet = unet
        self._device = device
        self._kept: OrderedDict[tuple[Any, ...], _Read] = OrderedDict()
        self._things = OncePerPrompts(self._told)

    @contextmanager
    def attended(self, rows: Sequence[Row]) -> Iterator[None]:
        """While it is entered, the UNet attends to the boxes of `rows`, which have the same model or none. To be
        entered after all others that put something in attention's place."""
        said = [boxes_in(row.conditioning) for row in rows]
        file = next((each.file for each in said if each is not None), None)
        if file is None:
            yield
            return
        holds = [place for place, each in enumerate(said) if each is not None]
        things = self._things([rows[place] for place in holds])
        blocks = _blocks(self._unet)
        kept = [(block._modules, block._modules["norm1"], block._modules["attn1"]) for block in blocks]
        for (modules, norm, attention), layer in zip(kept, self._read(file).layers, strict=True):
            between = _Between(layer, things, holds)
            modules["norm1"] = StandIn(norm, between.seen)
            modules["attn1"] = StandIn(attention, between.attended)
        try:
            yield
        finally:
            for modules, norm, attention in kept:
                modules["norm1"], modules["attn1"] = norm, attention

    def _told(self, rows: Sequence[Row]) -> torch.Tensor:
        """The things in boxes, (rows, MOST_BOXES, width); nothing where there are fewer."""
        said = [each for row in rows if (each := boxes_in(row.conditioning)) is not None]
        shown = [_padded(each) for each in said]
        boxes, masks, words = (self._device.sent(torch.stack(each)) for each in zip(*shown, strict=True))
        made: torch.Tensor = self._read(said[0].file).places(boxes, masks, positive_embeddings=words.float())
        return made.to(self._device.compute)

    def _read(self, file: ModelFile) -> _Read:
        key = (file.path, file.stamp)
        if key not in self._kept:
            self._kept[key] = _read(file, self._unet, self._device)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]


class _Between:
    """One block's layer at work: what comes of attention to the picture goes through it before the block adds it."""

    def __init__(self, layer: GatedSelfAttentionDense, things: torch.Tensor, holds: Sequence[int]) -> None:
        self._layer = layer
        self._things = things
        self._holds = list(holds)
        self._before: torch.Tensor | None = None

    def seen(self, norm: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self._before = given[0]
        return norm(*given, **named)

    def attended(self, attention: Any, given: tuple[Any, ...], named: dict[str, Any]) -> Any:
        made: torch.Tensor = attention(*given, **named)
        before = self._before
        assert before is not None, "a block norms what it attends to"
        if len(self._holds) == len(before):
            return self._layer(made + before, self._things) - before
        rows = list(made.split(1))
        for number, place in enumerate(self._holds):
            own = before[place : place + 1]
            rows[place] = self._layer(rows[place] + own, self._things[number : number + 1]) - own
        return torch.cat(rows)


def _padded(boxes: Boxes) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes, which of them there are, and their words, all MOST_BOXES long, on the CPU but for the words' own place."""
    count = len(boxes.places)
    places, there = torch.zeros(MOST_BOXES, 4), torch.zeros(MOST_BOXES)
    places[:count], there[:count] = torch.tensor(boxes.places), 1.0
    words = torch.nn.functional.pad(boxes.words, (0, 0, 0, MOST_BOXES - count))
    return places, there, words


def _blocks(unet: Any) -> list[Any]:
    """The transformer blocks in the order in which the UNet goes through them."""
    found = [(name, each) for name, each in unet.named_modules() if isinstance(each, BasicTransformerBlock)]
    return [each for _name, each in sorted(found, key=lambda one: _OWN_WAYS.index(one[0].partition("_")[0]))]


def _read(file: ModelFile, unet: Any, device: Device) -> _Read:
    checkpoint, blocks = Checkpoint(file.path), _blocks(unet)
    layers: dict[tuple[int, int], dict[str, torch.Tensor]] = {}
    for name in checkpoint.shapes:
        if match := _LAYER.search(name):
            way, number, rest = match.groups()
            layers.setdefault((_WAYS.index(way), int(number)), {})[rest] = checkpoint.tensor(name)
    if len(layers) != len(blocks):
        raise BadInput(_unfit(file))
    try:
        made = [_layer(block, layers[key]) for block, key in zip(blocks, sorted(layers), strict=True)]
        positions = dict(checkpoint.tensors_below(_PLACES))
        out = positions["linears.4.weight"].shape[0]
        places = GLIGENTextBoundingboxProjection(positions["null_positive_feature"].shape[0], out)
        places.load_state_dict(positions)
    except (RuntimeError, KeyError):
        raise BadInput(_unfit(file)) from None
    for layer in made:
        layer.to(device=device.place, dtype=device.compute).eval().requires_grad_(False)
    # Boxes are finer than half a precision's steps.
    return _Read(layers=tuple(made), places=places.to(device.place).float().eval().requires_grad_(False))


def _layer(block: Any, tensors: dict[str, torch.Tensor]) -> GatedSelfAttentionDense:
    width, context = tensors["linear.weight"].shape
    if width != block.attn1.to_q.in_features:
        raise KeyError("width")
    layer = GatedSelfAttentionDense(width, context, block.attn1.heads, width // block.attn1.heads)
    layer.load_state_dict(tensors)
    return layer


def _unfit(file: ModelFile) -> str:
    return (
        f"The GLIGEN model '{file.name}' does not fit this model. Choose one that is for text in boxes, and for the "
        "model's family."
    )

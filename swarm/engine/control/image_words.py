"""IP-Adapters: pictures as words of their own, which a UNet's cross-attention hears beside the prompt's.

Each cross-attention layer gets keys and values of its own for them (Ye et al. 2023, 2308.06721).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import linear, scaled_dot_product_attention

from swarm.base.errors import BadInput
from swarm.engine.components import Row
from swarm.engine.control.image_encoders import black, load_image_encoder, prepared, seen
from swarm.engine.device import Device
from swarm.engine.files.checkpoint import Checkpoint
from swarm.engine.once import Numbers, OncePerPrompts
from swarm.features.ip_adapter import words_in
from swarm.jobs.job import ModelFile
from swarm.media.image import Picture

Layer = tuple[torch.Tensor, torch.Tensor]
Said = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Keys, values and how loud they are to each row."""
KEPT = 2
_WAY = "down", "mid", "up"
REMEMBERED = 64
_SINGLE, _FULL, _PLUS = "proj.weight", "proj.3.weight", "latents"
"""Tensors that tell how an adapter makes words of pictures; others want to be told whose face it is."""


class ImageWordLayers:
    """What adapters add to one UNet; kept beside it."""

    def __init__(self, unet: Any, device: Device) -> None:
        self._unet = unet
        self._device = device
        self._kept: OrderedDict[tuple[Any, ...], list[Layer]] = OrderedDict()
        self._numbers = Numbers(device)
        self._said = OncePerPrompts(self._told)

    @contextmanager
    def heard(self, rows: Sequence[Row]) -> Iterator[None]:
        """While it is entered, the UNet hears the image words of `rows`, which have the same adapter or none."""
        words = [found for row in rows if (found := words_in(row.conditioning)) is not None]
        if not words:
            yield
            return
        layers = cross_attention(self._unet)
        before = [layer.processor for layer in layers]
        for layer, own, said in zip(layers, before, self._said(rows), strict=True):
            if said is not None:
                layer.processor = Hearing(own, *said)
        try:
            yield
        finally:
            for layer, own in zip(layers, before, strict=True):
                layer.processor = own

    def let_go(self) -> None:
        self._kept.clear()
        self._said.let_go()

    def _told(self, rows: Sequence[Row]) -> list[Said | None]:
        """What each cross-attention layer hears: None where it is deaf."""
        words = [found for row in rows if (found := words_in(row.conditioning)) is not None]
        tokens = torch.cat([each.tokens for each in words]).to(device=self._device.place, dtype=self._device.compute)
        places = attention_places(self._unet)
        count = max(places) + 1
        loud = self._numbers(tuple(each.weight_at(place, count) for each in words) for place in range(count)).to(tokens)
        return [
            (linear(tokens, key), linear(tokens, value), loud[place, :, None, None])
            if any(each.weight_at(place, count) for each in words)
            else None
            for place, (key, value) in zip(places, self._layers(words[0].file), strict=True)
        ]

    def _layers(self, file: ModelFile) -> list[Layer]:
        key = (file.path, file.stamp)
        if key not in self._kept:
            self._kept[key] = read_layers(file, self._unet, self._device)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(key)
        return self._kept[key]


class Hearing:
    """Cross-attention as it was, and then the same queries asked of the image words."""

    def __init__(self, before: Any, keys: torch.Tensor, values: torch.Tensor, weights: torch.Tensor) -> None:
        self._before = before
        self._keys = keys
        self._values = values
        self._weights = weights

    def __call__(self, attention: Any, hidden_states: torch.Tensor, *more: Any, **named: Any) -> torch.Tensor:
        plain: torch.Tensor = self._before(attention, hidden_states, *more, **named)
        query, key, value = (
            each.unflatten(-1, (attention.heads, -1)).transpose(1, 2)
            for each in (attention.to_q(hidden_states), self._keys, self._values)
        )
        found = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        last = attention.to_out[0]
        # The layer's own bias is in the plain output already.
        return plain + (last(found) - last.bias.to(found)) * self._weights


def cross_attention(unet: Any) -> list[Any]:
    """The cross-attention layers in the order in which adapters number them."""
    names = [name.removesuffix(".processor") for name in unet.attn_processors]
    return [unet.get_submodule(name) for name in names if name.endswith("attn2")]


def attention_places(unet: Any) -> list[int]:
    """For each of `cross_attention`, at which of the network's places of attention it is: a place may have several
    layers. Counted in the order the network goes through them: down, middle, up."""
    names = [name.partition(".transformer_blocks")[0] for name in unet.attn_processors if "attn2" in name]
    order = sorted(dict.fromkeys(names), key=lambda name: _WAY.index(name.partition("_")[0]))
    return [order.index(name) for name in names]


def read_layers(file: ModelFile, unet: Any, device: Device) -> list[Layer]:
    """Keys and values that an adapter adds to each layer of cross-attention. Raises BadInput when it is for others."""
    checkpoint = Checkpoint(file.path)
    found: list[Layer] = []
    for number, layer in enumerate(cross_attention(unet)):
        names = [f"ip_adapter.{2 * number + 1}.{which}.weight" for which in ("to_k_ip", "to_v_ip")]
        wanted = (layer.to_q.out_features, unet.config.cross_attention_dim)
        if any(checkpoint.shapes.get(name) != wanted for name in names):
            raise BadInput(
                f"The IP-Adapter '{file.name}' is for another kind of model. Choose one made for this model's family."
            )
        key, value = (checkpoint.tensor(name).to(device=device.place, dtype=device.compute) for name in names)
        found.append((key, value))
    return found


_Remembered = OrderedDict[tuple[Any, ...], tuple[torch.Tensor, torch.Tensor]]


class ImageWordMaker:
    """Makes image words, and remembers them by picture."""

    def __init__(self) -> None:
        self._made: _Remembered = OrderedDict()

    def words(
        self, adapter: ModelFile, encoder: ModelFile, pictures: Sequence[Picture], unet: Any, device: Device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The words of pictures, one behind the other, and those of no picture, as many: (1, n, width). Raises
        BadInput."""
        digests = tuple(hashlib.sha256(picture.data).digest() for picture in pictures)
        key = (adapter.path, adapter.stamp, encoder.path, encoder.stamp, digests)
        if key not in self._made:
            self._made[key] = _words(adapter, encoder, pictures, unet, device)
            while len(self._made) > REMEMBERED:
                self._made.popitem(last=False)
        self._made.move_to_end(key)
        return self._made[key]


def summary(encoder: ModelFile, pictures: Sequence[Picture], device: Device) -> torch.Tensor:
    """What an image encoder says of pictures in all, added up: (1, projection). Raises BadInput."""
    eyes = load_image_encoder(encoder, device)
    return seen(eyes, prepared(pictures, int(eyes.config.image_size))).summary.float().sum(dim=0, keepdim=True)


def _words(
    adapter: ModelFile, encoder: ModelFile, pictures: Sequence[Picture], unet: Any, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    checkpoint = Checkpoint(adapter.path)
    read_layers(adapter, unet, device)
    state = {name: tensor.to(device.compute) for name, tensor in checkpoint.tensors_below("image_proj.")}
    if not any(name in state for name in (_SINGLE, _FULL, _PLUS)):
        raise BadInput(f"The file '{adapter.name}' is no IP-Adapter for pictures as a whole.")
    reader = unet._convert_ip_adapter_image_proj_to_diffusers(state).to(device=device.place, dtype=device.compute)
    eyes = load_image_encoder(encoder, device)
    pixels = prepared(pictures, int(eyes.config.image_size))
    sight = seen(eyes, pixels)
    if _SINGLE in state:
        some, none = sight.summary, torch.zeros_like(sight.summary)
    else:
        some, none = sight.places, seen(eyes, black(pixels.shape[-1]).repeat(len(pixels), 1, 1, 1)).places
    try:
        words = [reader(each) for each in (some, none)]
    except RuntimeError:
        raise BadInput(
            f"The image encoder '{encoder.name}' is not the one that the IP-Adapter '{adapter.name}' was trained with."
        ) from None
    one, other = (each.reshape(1, -1, each.shape[-1]).float() for each in words)
    return one, other

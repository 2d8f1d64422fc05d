"""Stable Diffusion's UNets (1.x, XL) as one call for rows of different pictures, steps, prompts and sizes of prompt."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import torch

from swarm.engine.adapters.unet_load import PIPELINES, load
from swarm.engine.adapters.unet_variants import VARIANTS
from swarm.engine.attending.direct import call_directly
from swarm.engine.attending.kept import Keeper
from swarm.engine.attending.normalized_attention import led_away, with_negatives
from swarm.engine.chains import Levels
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes, kind_of
from swarm.engine.control.box_layers import BoxLayers
from swarm.engine.control.controls import Controls, check_control
from swarm.engine.control.image_words import ImageWordLayers, ImageWordMaker
from swarm.engine.control.reference_rows import looking, with_references
from swarm.engine.device import Device
from swarm.engine.files.keys import unet_key
from swarm.engine.once import Numbers
from swarm.jobs.stage import Conditioning

MOST_REPEATS = 4
"""Prompts are only brought to a common length that is at most this many times the longest of them."""
BEAUTY = 6.0, 2.5
"""The score refiners are told with the prompt, and with the negative prompt."""
_GRID = 64
_WITH_MASK = 9
_FLATTERED = "stable-diffusion-xl-v1-base"
"""The class of model that is told of a larger original: SwarmUI does so for this one only."""


class UnetDenoiser:
    """Calls the UNet of loaded components."""

    def __init__(self, components: Components, device: Device) -> None:
        self._unet: Any = components.denoiser
        self._device = device
        self._prediction = components.prediction
        self._is_flattered = components.architecture.id == _FLATTERED
        self._text = components.text
        self._text_width = int(getattr(components.text_modules[-1].config, "projection_dim", 0))
        self._numbers, self._size_numbers = Numbers(device), Numbers(device, device.compute)
        self._keeper = Keeper(components.denoiser, device)
        call_directly(components.denoiser)
        self._controls = Controls(components.denoiser, device)
        self._image_words = ImageWordLayers(components.denoiser, device)
        self._boxes = BoxLayers(components.denoiser, device)
        self._told: tuple[list[tuple[Conditioning, tuple[float, ...]]], torch.Tensor, dict[str, Any], Any] | None = None

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        """What an XL UNet is told: original size, crop and target as (height, width) pairs; a refiner a beauty score
        instead of the target. Enhanced, the original is said to have been larger with the prompt, and smaller with the
        negative prompt, than it is; to refiners and other classes of XL never."""
        config = self._unet.config
        if config.addition_embed_type != "text_time":
            return NO_SIZES
        large, small = (1.5, 0.8) if enhanced and self._is_flattered else (1.0, 1.0)
        room = config.projection_class_embeddings_input_dim - self._text_width
        if room < 6 * config.addition_time_embed_dim:
            good, poor = BEAUTY
            return (height, width, 0, 0, good), (height, width, 0, 0, poor)
        target = 0, 0, height, width
        return (*_rounded(height, width, large), *target), (*_rounded(height, width, small), *target)

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        return alike(rows)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        count, beside = len(rows), with_negatives(rows)
        rows = with_references(beside, self._prediction)
        tokens, added = self._conditions(rows)
        compute = self._device.compute
        x = torch.cat([row.x for row in rows]).to(compute)
        times = self._numbers(row.timestep for row in rows)
        more = self._controls.added(rows, x, times, tokens, added)
        if rows[0].concat is not None:
            x = torch.cat([x, torch.cat([row.concat for row in rows if row.concat is not None]).to(x)], dim=1)
        if self._device.is_cuda:
            x = x.contiguous(memory_format=torch.channels_last)
        told = {"encoder_hidden_states": tokens, "added_cond_kwargs": added, **more}
        looks = looking(self._unet, len(rows) // len(beside))
        with (
            self._image_words.heard(rows),
            looks,
            led_away(self._unet, beside[:count], self._numbers),
            self._boxes.attended(rows),
        ):
            answer = self._unet(x, times, return_dict=False, **told)[0]
        return answer[:count].float()

    def _conditions(self, rows: Sequence[Row]) -> tuple[torch.Tensor, dict[str, Any]]:
        """The prompt tensors of a call; kept while the same prompts are asked again, which is nearly every step."""
        state = self._text.state  # LoRAs change what the layers make of the same tokens
        if self._told is None or self._told[3] != state or not _same(self._told[0], rows):
            tokens, added = self._stacked(rows)
            self._told = ([(row.conditioning, row.size) for row in rows], tokens, added, state)
            self._keeper.keep(tokens)
        return self._told[1], self._told[2]

    def _stacked(self, rows: Sequence[Row]) -> tuple[torch.Tensor, dict[str, Any]]:
        length = math.lcm(*(row.conditioning.tokens.shape[1] for row in rows))
        tokens = torch.cat([_repeated(row.conditioning.tokens, length) for row in rows]).to(self._device.compute)
        if not rows[0].size:
            return tokens, {}
        pooled = torch.cat([row.conditioning.pooled for row in rows]).to(self._device.compute)
        return tokens, {"text_embeds": pooled, "time_ids": self._size_numbers(row.size for row in rows)}


def _rounded(height: int, width: int, factor: float) -> tuple[int, int]:
    if factor == 1.0:
        return height, width
    return round(height * factor / _GRID) * _GRID, round(width * factor / _GRID) * _GRID


def _same(told: Sequence[tuple[Conditioning, tuple[float, ...]]], rows: Sequence[Row]) -> bool:
    if len(told) != len(rows):
        return False
    return all(known is row.conditioning and size == row.size for (known, size), row in zip(told, rows, strict=True))


def _repeated(tokens: torch.Tensor, length: int) -> torch.Tensor:
    """Prompt tokens (1, n, width), repeated as a whole to `length`: attention over repeated keys is the same."""
    times = length // tokens.shape[1]
    return tokens if times == 1 else tokens.repeat(1, times, 1)


def alike(rows: Sequence[Row]) -> list[list[int]]:
    """Positions of the rows that may share a call: those whose prompts have a short enough common length."""
    calls: list[tuple[object, int, list[int]]] = []
    for position, row in sorted(enumerate(rows), key=lambda pair: -pair[1].conditioning.tokens.shape[1]):
        own, kind = int(row.conditioning.tokens.shape[1]), kind_of(row)
        for number, (other, length, members) in enumerate(calls):
            longest = int(rows[members[0]].conditioning.tokens.shape[1])
            if kind == other and (common := math.lcm(length, own)) <= MOST_REPEATS * longest:
                calls[number] = (kind, common, [*members, position])
                break
        else:
            calls.append((kind, own, [position]))
    return [sorted(members) for _kind, _length, members in calls]


_BLOCK = re.compile(r"(input_blocks|output_blocks)_(\d+)_(\d+)_(.+)")
_MIDDLE = re.compile(r"middle_block_(\d+)_(.+)")
_LAYER_NUMBER = re.compile(r"(in_layers|out_layers|emb_layers)_(\d)")


def lora_keys(key: str, unet: Any) -> tuple[str, ...]:
    """A UNet module named as in the original layout, in diffusers' names; others as they are."""
    dotted = None
    if match := _BLOCK.fullmatch(key):
        dotted = ".".join((match[1], match[2], match[3], _LAYER_NUMBER.sub(r"\1.\2", match[4])))
    elif match := _MIDDLE.fullmatch(key):
        dotted = ".".join(("middle_block", match[1], _LAYER_NUMBER.sub(r"\1.\2", match[2])))
    if dotted is None:
        return (key,)
    # Only the end of the name is looked at by unet_key, so a stand-in for `.weight` completes it.
    layers = int(unet.config.layers_per_block)
    return ((unet_key(dotted + ".", layers) or dotted).rstrip(".").replace(".", "_"),)


def row_width(unet: Any) -> int:
    """Channels of the first level, whose maps are the largest."""
    return int(unet.config.block_out_channels[0])


def inpaint_channels(unet: Any, latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
    """For UNets of nine channels: the mask, then the latent."""
    if unet.config.in_channels != _WITH_MASK:
        return None
    small = torch.nn.functional.interpolate(mask, size=latent.shape[-2:], mode="bilinear").round()
    return torch.cat([small.to(latent), latent], dim=1)


_GRAY = (0.8223, -0.6876, 0.6364, 0.1380)
"""The latent of a gray picture, by channel."""


def nothing_beside(unet: Any, latent: torch.Tensor) -> torch.Tensor | None:
    """For UNets of nine channels: all is to be filled, and the picture is gray."""
    if unet.config.in_channels != _WITH_MASK:
        return None
    gray = torch.tensor(_GRAY).view(1, -1, 1, 1).expand_as(latent)
    return torch.cat([torch.ones_like(gray[:, :1]), gray], dim=1)


ADAPTER = Adapter(
    id="unet",
    pipelines=PIPELINES,
    load=load,
    denoiser=UnetDenoiser,
    lora_keys=lora_keys,
    inpaint_channels=inpaint_channels,
    nothing_beside=nothing_beside,
    row_width=row_width,
    variants=VARIANTS,
    check_control=check_control,
    image_words=ImageWordMaker().words,
    chain=Levels,
)

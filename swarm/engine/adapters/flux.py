"""Calls Flux.1's transformer for rows of different pictures: dev, schnell, fill, kontext. Latents travel as tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch

from swarm.architectures.families.latents import FLUX_LATENT
from swarm.engine.adapters.flux_load import PIPELINES, load
from swarm.engine.attending import spots
from swarm.engine.chains import blocks
from swarm.engine.components import NO_SIZES, Adapter, Components, Row, Sizes, kind_of
from swarm.engine.control.flux_controls import FluxControls, check_flux_control
from swarm.engine.control.redux import StyleReader
from swarm.engine.denoisers import row_width
from swarm.engine.device import Device
from swarm.engine.files.flux_names import flux_names
from swarm.engine.loras.lora_wide import inputs_of
from swarm.engine.once import Numbers, Once, OncePerPrompts
from swarm.engine.packing import beside, even, packed, positions, unpacked
from swarm.features.prompt_images import REFERENCES

GUIDANCE = 3.5
"""What guidance-distilled models are told when the request says nothing."""
_LED_INPUTS, _FILL_INPUTS = 128, 384
Side: TypeAlias = tuple[int, int]
_MASK_CELLS = 8


class FluxDenoiser:
    """Calls the transformer of loaded components."""

    def __init__(self, components: Components, device: Device) -> None:
        self.network: Any = components.denoiser
        self.device = device
        self.dtype: torch.dtype = components.denoiser.proj_out.weight.dtype  # type: ignore[union-attr, assignment]
        self.numbers = Numbers(device)
        self._prompts = OncePerPrompts(self.prompt_arguments)
        self.places = Once(self.positions)
        self._controls = FluxControls(components, device)

    def size_numbers(self, width: int, height: int, *, enhanced: bool) -> Sizes:
        return NO_SIZES

    def together(self, rows: Sequence[Row]) -> list[list[int]]:
        calls: dict[object, list[int]] = {}
        for position, row in enumerate(rows):
            calls.setdefault(self.alike(row), []).append(position)
        return list(calls.values())

    def alike(self, row: Row) -> object:
        """What rows of one call must have in common."""
        sizes = tuple(tuple(each.shape) for each in references(row))
        silent = row.guidance is not None and row.guidance < 0
        told = row.conditioning
        return tuple(told.tokens.shape[1:]), sizes, silent, kind_of(row)

    def __call__(self, rows: Sequence[Row]) -> torch.Tensor:
        """The network's outputs for `rows` (same latent shape), in order: (n, C, h, w) float32."""
        height, width = rows[0].x.shape[-2:]
        picture = self._picture(rows)
        count = picture.shape[1]
        extra = [packed(even(torch.cat(latents))) for latents in zip(*map(references, rows), strict=True)]
        tokens = torch.cat([picture, *(each.to(picture) for each in extra)], dim=1) if extra else picture
        sigmas = self.numbers(row.sigma for row in rows)
        with self._silenced(rows):
            answer = self.network(
                hidden_states=tokens,
                timestep=sigmas,
                img_ids=self.places(sides(rows[0])),
                **self._guidance(rows),
                **self._prompts(rows),
                **self._controlled(rows, sigmas, beside=tokens.shape[1] - count),
                return_dict=False,
            )[0]
        return unpacked(answer[:, :count].float(), height, width)

    def _controlled(self, rows: Sequence[Row], sigmas: torch.Tensor, *, beside: int) -> dict[str, Any]:
        """What ControlNets add, which look at the pictures without anything beside them."""
        if not rows[0].controls:
            return {}
        plain = packed(even(torch.cat([row.x for row in rows]))).to(self.dtype)
        told = {"timestep": sigmas, "img_ids": self.places(sides(rows[0])[:1]), **self._prompts(rows)}
        return self._controls.added(rows, plain, told, self._guidance_numbers(rows), beside=beside)

    def _picture(self, rows: Sequence[Row]) -> torch.Tensor:
        x = torch.cat([row.x for row in rows])
        if rows[0].concat is not None:
            x = torch.cat([x, torch.cat([row.concat for row in rows if row.concat is not None]).to(x)], dim=1)
        return packed(even(x)).to(self.dtype)

    def positions(self, sides: tuple[Side, ...]) -> torch.Tensor:
        """Where each token lies: the picture's, then the references'."""
        own, *others = sides
        grids = [positions(*size, place) for size, place in zip(others, beside(others), strict=True)]
        return self.device.sent(torch.cat([positions(*own), *grids]), self.dtype)

    def _guidance(self, rows: Sequence[Row]) -> dict[str, Any]:
        if not getattr(self.network.config, "guidance_embeds", False):
            return {}
        return {"guidance": self._guidance_numbers(rows)}

    def _guidance_numbers(self, rows: Sequence[Row]) -> torch.Tensor:
        told = [GUIDANCE if row.guidance is None else max(0.0, row.guidance) for row in rows]
        return self.numbers(told)

    def prompt_arguments(self, rows: Sequence[Row]) -> dict[str, Any]:
        """What the network is told of the prompts."""
        tokens = torch.cat([row.conditioning.tokens for row in rows]).to(self.device.place, self.dtype)
        pooled = torch.cat([row.conditioning.pooled for row in rows]).to(self.device.place, self.dtype)
        ids = torch.zeros(tokens.shape[1], 3, device=self.device.place, dtype=self.dtype)
        return {"encoder_hidden_states": tokens, "pooled_projections": pooled, "txt_ids": ids}

    @contextmanager
    def _silenced(self, rows: Sequence[Row]) -> Iterator[None]:
        """Without the guidance number, for rows that ask for that."""
        embedder = getattr(getattr(self.network, "time_text_embed", None), "guidance_embedder", None)
        if embedder is None or rows[0].guidance is None or rows[0].guidance >= 0:
            yield
            return
        whole = embedder.forward
        embedder.forward = lambda x: whole(x) * 0.0
        try:
            yield
        finally:
            del embedder.forward


def sides(row: Row) -> tuple[Side, ...]:
    """Height and width of a row's latent, and of those its prompt comes with."""
    return tuple((int(each.shape[-2]), int(each.shape[-1])) for each in (row.x, *references(row)))


def references(row: Row) -> tuple[torch.Tensor, ...]:
    """The pictures that a row's prompt comes with."""
    return tuple(row.conditioning.extra.get(REFERENCES, ()))


def inpaint_channels(network: Any, latent: torch.Tensor, mask: torch.Tensor) -> torch.Tensor | None:
    """For fill models: the latent, then each cell's 8x8 pixels of the mask as 64 channels."""
    if network.config.in_channels != _FILL_INPUTS:
        return None
    height, width = latent.shape[-2:]
    whole = torch.nn.functional.interpolate(mask, size=(height * _MASK_CELLS, width * _MASK_CELLS), mode="bilinear")
    cells = whole.view(1, height, _MASK_CELLS, width, _MASK_CELLS).permute(0, 2, 4, 1, 3)
    return torch.cat([latent, cells.reshape(1, _MASK_CELLS**2, height, width).to(latent)], dim=1)


def is_led(network: Any) -> bool:
    """Depth and canny models see the latent of a picture beside x; so do others with a LoRA made of such a model."""
    return inputs_of(network.x_embedder) == _LED_INPUTS


def nothing_beside(network: Any, latent: torch.Tensor) -> torch.Tensor | None:
    """For fill models and those led by a picture: what the VAE says is nothing but zeros before they are scaled, and
    all is to be filled."""
    empty = torch.full_like(latent, -FLUX_LATENT.shift * FLUX_LATENT.scale)
    if is_led(network):
        return empty
    return inpaint_channels(network, empty, torch.ones(1, 1, *latent.shape[-2:]))


def lora_keys(key: str, network: Any) -> tuple[str, ...]:
    """A transformer module named as in the original layout, in diffusers' names; others as they are."""
    config = network.config
    return flux_names(int(config.num_layers), int(config.num_single_layers)).lora_names(key)


ADAPTER = Adapter(
    id="flux",
    pipelines=PIPELINES,
    load=load,
    denoiser=FluxDenoiser,
    lora_keys=lora_keys,
    inpaint_channels=inpaint_channels,
    nothing_beside=nothing_beside,
    is_led=is_led,
    widens="x_embedder",
    row_width=row_width,
    style_words=StyleReader().tokens,
    check_control=check_flux_control,
    chain=blocks("transformer_blocks", "single_transformer_blocks"),
    attention=spots.flux,
)
